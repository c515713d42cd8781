//! Files on the disk, by names relative to an open folder: a mount that goes away cannot change what
//! they mean.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;

use log::warn;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, StatxFlags};
use rustix::io::Errno;

use crate::gate::GatedFile;
use crate::path::Place;

/// Opens a stored file for reading; tells its size, too. Never waits for the other end of a FIFO.
///
/// # Errors
/// Not there, no regular file (see [`is_not_a_file`]), or the disk refuses.
pub(crate) fn open(place: &Place) -> io::Result<(GatedFile, u64)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(&place.root, &place.relative, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(errno) => return Err(why_not_opened(place, errno)),
    };
    let metadata = file.metadata()?;
    check_regular(FileType::from_raw_mode(metadata.mode()))?;
    let gate = place.pass.as_ref().map(|pass| pass.gate().clone());
    Ok((GatedFile::new(file, gate), metadata.len()))
}

/// A symbolic link, a socket and some devices cannot be opened; what stands there says more than the
/// error does.
fn why_not_opened(place: &Place, errno: Errno) -> io::Error {
    match size(place) {
        Err(e) if errno != Errno::NOENT && is_not_a_file(&e) => e,
        _ => errno.into(),
    }
}

/// The size of a stored file. What the kernel remembers of a network file system is passed over: a
/// peer may have removed the file.
///
/// # Errors
/// Not there, no regular file (see [`is_not_a_file`]), or the disk refuses.
pub(crate) fn size(place: &Place) -> io::Result<u64> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_FORCE_SYNC;
    let wanted = StatxFlags::SIZE | StatxFlags::TYPE;
    let stat = rustix::fs::statx(&place.root, &place.relative, flags, wanted)?;
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

/// Renames without overwriting. GlusterFS does not know the flag for that, but link does the same.
pub(crate) fn rename_new(root: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
    match rustix::fs::renameat_with(root, from, root, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            rustix::fs::linkat(root, from, root, to, AtFlags::empty())?;
            remove_if_there(root, from);
            Ok(())
        }
        result => Ok(result?),
    }
}

/// Opens a folder below an open one; the empty path is that one itself.
pub(crate) fn open_below(root: BorrowedFd<'_>, folder: &str) -> io::Result<File> {
    let folder = if folder.is_empty() { "." } else { folder };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(
        root,
        folder,
        flags,
        Mode::empty(),
    )?))
}

/// Removes a file that nobody knows of; what cannot be removed is logged.
pub(crate) fn remove_if_there(root: BorrowedFd<'_>, path: &str) {
    match rustix::fs::unlinkat(root, path, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(e) => warn!("cannot remove {path}: {e}"),
    }
}

/// The folder of a path, and the name in it.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

pub(crate) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}
