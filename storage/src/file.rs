//! Files on the disk, by names relative to an open folder: a mount that goes away cannot change what
//! they mean.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::fs::{FileType, Mode, OFlags, StatxFlags};

use crate::gate::GatedFile;
use crate::path::Place;

/// Opens a stored file for reading; tells its size, too. Never waits for the other end of a FIFO.
///
/// # Errors
/// Not there, no regular file (see [`is_not_a_file`]), or the disk refuses.
pub(crate) fn open(place: &Place) -> io::Result<(GatedFile, u64)> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let opened = place.root.open_at(&place.relative, flags, Mode::empty());
    let file = File::from(opened.map_err(|e| why_not_opened(place, e))?);
    let metadata = file.metadata()?;
    check_regular(FileType::from_raw_mode(metadata.mode()))?;
    let gate = place.pass.gate().clone();
    Ok((GatedFile::new(file, gate), metadata.len()))
}

/// Reads one byte of a stored file.
///
/// # Errors
/// As [`open`]; the file ends before the byte, or the disk cannot read it.
pub(crate) fn read_byte(place: &Place, offset: u64) -> io::Result<()> {
    let (file, _) = open(place)?;
    file.file().read_exact_at(&mut [0], offset)
}

/// A symbolic link, a socket and some devices cannot be opened; what stands there says more than the
/// error does.
fn why_not_opened(place: &Place, error: io::Error) -> io::Error {
    match size(place) {
        Err(e) if error.kind() != ErrorKind::NotFound && is_not_a_file(&e) => e,
        _ => error,
    }
}

/// The size of a stored file. What the kernel remembers of a network file system is passed over: a
/// peer may have removed the file.
///
/// # Errors
/// Not there, no regular file (see [`is_not_a_file`]), or the disk refuses.
pub(crate) fn size(place: &Place) -> io::Result<u64> {
    let wanted = StatxFlags::SIZE | StatxFlags::TYPE;
    let stat = place.root.statx(&place.relative, wanted)?;
    check_regular(FileType::from_raw_mode(stat.stx_mode.into()))?;
    Ok(stat.stx_size)
}

fn check_regular(kind: FileType) -> io::Result<()> {
    let what = match kind {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => return Err(ErrorKind::IsADirectory.into()),
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of an unknown type",
    };
    let text = format!("it is {what}, no regular file");
    Err(io::Error::new(ErrorKind::InvalidData, text))
}

/// Whether the error says that something else than a file stands in its place, or than a folder in
/// that of a folder above it.
pub(crate) fn is_not_a_file(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidData | ErrorKind::IsADirectory | ErrorKind::NotADirectory
    )
}

/// Whether the error says that there is no such file. A network file system calls one stale that was
/// removed behind what it remembers.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::StaleNetworkFileHandle
    )
}
