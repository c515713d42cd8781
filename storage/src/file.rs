//! Operations on stored files, by names relative to an open folder: an unmount cannot change what
//! these name.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

use base::link_check::look;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Statx, StatxFlags};

use crate::disks::limiter::LimitedFile;
use crate::disks::open_files::StoredFile;
use crate::disks::store_path::ResolvedPath;

/// The attributes that [`size_in`] needs.
const FIELDS: StatxFlags = StatxFlags::SIZE
    .union(StatxFlags::TYPE)
    .union(StatxFlags::NLINK);
/// Bypasses the kernel's cache of a network file system: a peer may have removed the file.
const UNCACHED: AtFlags = AtFlags::STATX_FORCE_SYNC;

/// A stored file that is open for reading.
pub(crate) struct OpenedFile {
    pub(crate) file: Arc<StoredFile>,
    /// In bytes, as of this call.
    pub(crate) size: u64,
    /// True if it was open before.
    pub(crate) was_kept: bool,
}

/// Opens a stored file for reading, or takes it from those that are kept open.
///
/// # Errors
/// Missing, no regular file (see [`is_not_a_file`]), or the disk refuses.
pub(crate) fn open(at: &ResolvedPath) -> io::Result<OpenedFile> {
    let kept = at.open_files.get(&at.root, &at.relative);
    let was_kept = kept.is_some();
    let (file, size) = match kept {
        Some(kept) => kept,
        None => {
            let began = Instant::now();
            let (file, found) = open_new(at)?;
            let size = size_in(&found)?;
            let opened = (began, &found);
            let file = at.open_files.keep(&at.root, &at.relative, file, opened);
            (file, size)
        }
    };
    Ok(OpenedFile {
        file,
        size,
        was_kept,
    })
}

/// Opens a stored file, and looks at it. Never blocks on a FIFO.
fn open_new(at: &ResolvedPath) -> io::Result<(LimitedFile, Statx)> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let opened = at.root.open_at(&at.relative, flags, Mode::empty());
    let file = File::from(opened.map_err(|e| why_not_opened(at, e))?);
    let sync = match at.root.is_shared() {
        true => UNCACHED,
        false => AtFlags::empty(),
    };
    let found = look(&file, sync)?;
    let limiter = at.permit.limiter().clone();
    Ok((LimitedFile::new(file, limiter), found))
}

/// Reads one byte of a stored file.
///
/// # Errors
/// As [`open`]; the file ends before the byte, or the disk cannot read it.
pub(crate) fn read_byte(at: &ResolvedPath, offset: u64) -> io::Result<()> {
    let (file, _) = open_new(at)?;
    file.file().read_exact_at(&mut [0], offset)
}

/// Replaces the error of an open by the type of what is there: symbolic links, sockets and some
/// devices cannot be opened.
fn why_not_opened(at: &ResolvedPath, error: io::Error) -> io::Error {
    match size(at) {
        Err(e) if error.kind() != ErrorKind::NotFound && is_not_a_file(&e) => e,
        _ => error,
    }
}

/// The size of a stored file, bypassing the kernel's cache of a network file system: a peer may
/// have removed the file.
///
/// # Errors
/// Missing, no regular file (see [`is_not_a_file`]), or the disk refuses.
pub(crate) fn size(at: &ResolvedPath) -> io::Result<u64> {
    size_in(&at.root.statx(&at.relative, FIELDS)?)
}

/// The size among these attributes. GlusterFS opens a deleted file, and has its attributes, while a
/// peer has it open.
fn size_in(stat: &Statx) -> io::Result<u64> {
    check_regular(FileType::from_raw_mode(stat.stx_mode.into()))?;
    if stat.stx_nlink == 0 {
        return Err(ErrorKind::NotFound.into());
    }
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

/// True if there is no regular file at the path, or no folder above it.
pub(crate) fn is_not_a_file(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidData | ErrorKind::IsADirectory | ErrorKind::NotADirectory
    )
}

/// True if there is no file. A network file system reports a cached file that was removed as
/// stale.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::StaleNetworkFileHandle
    )
}
