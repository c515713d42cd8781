//! Files on the disk: written aside and renamed when whole, opened, removed.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use log::{debug, info, warn};
use parking_lot::Mutex;
use rustix::fs::{AtFlags, CWD, FallocateFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::config::Durability;

/// Smaller files gain nothing from space set aside at once.
const PREALLOCATE_MIN: u64 = 1 << 20;
/// Folders remembered as safe on the disk; forgetting one costs a few syncs.
const SAFE_FOLDERS_MAX: usize = 65_536;
/// A temporary file nobody wrote to for this long is of a process that died: live uploads are
/// dropped far sooner when they stall.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// Writes files as durably as it was told.
pub(crate) struct FileWriter {
    durability: Durability,
    /// Folders whose own names are known to be synced, so that a file in them needs one sync only.
    safe_folders: Mutex<HashSet<PathBuf>>,
}

/// A file on its way in. Dropping it removes it.
pub(crate) struct NewFile {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
}

/// Why a file could not be made final.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    /// What was written may be lost: nothing on this disk can be trusted to be synced now.
    #[error("sync failed")]
    Sync(#[source] io::Error),
    /// The name is taken or cannot be made; nothing is lost but this file.
    #[error("rename failed")]
    Rename(#[source] io::Error),
}

impl FileWriter {
    pub(crate) fn new(durability: Durability) -> FileWriter {
        FileWriter {
            durability,
            safe_folders: Mutex::default(),
        }
    }

    /// Begins a file of `size` bytes that will be called `path`; makes the folders on the way.
    ///
    /// The temporary is `.<name>.<random>` beside it: GlusterFS takes that for `<name>` when it
    /// chooses a brick, so that the rename stays where the bytes are.
    ///
    /// # Errors
    /// The disk is full, or refuses.
    pub(crate) fn create(&self, path: &str, size: u64) -> io::Result<NewFile> {
        let path = PathBuf::from(path);
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ErrorKind::InvalidInput.into());
        };
        self.make_folder(folder)?;
        let random: u64 = rand::random();
        let temporary = folder.join(format!(".{}.{random:016x}", name.to_string_lossy()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::from_raw_mode(0o644);
        let file = File::from(rustix::fs::open(&temporary, flags | OFlags::CLOEXEC, mode)?);
        let new = NewFile {
            file,
            temporary,
            path,
        };
        if size >= PREALLOCATE_MIN {
            new.preallocate(size)?;
        }
        Ok(new)
    }

    /// Makes a whole file final and, as far as the durability promises, safe.
    ///
    /// # Errors
    /// See [`CommitError`]; the file is gone then.
    pub(crate) fn commit(&self, new: NewFile) -> Result<(), CommitError> {
        if self.durability.syncs_content() {
            new.file.sync_data().map_err(CommitError::Sync)?;
        }
        rename_new(&new.temporary, &new.path).map_err(CommitError::Rename)?;
        if self.durability.syncs_names()
            && let Some(folder) = new.path.parent()
            && let Err(e) = sync_folder(folder)
        {
            remove_if_there(&new.path);
            return Err(CommitError::Sync(e));
        }
        Ok(())
    }

    /// Removes a file; one that is gone already is fine.
    ///
    /// # Errors
    /// The disk refuses: the file is still there.
    pub(crate) fn remove(&self, path: &str) -> io::Result<()> {
        let path = Path::new(path);
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        match path.parent() {
            Some(folder) if self.durability.syncs_names() => match sync_folder(folder) {
                Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
                result => result,
            },
            _ => Ok(()),
        }
    }

    /// Makes a folder and all above it, and syncs each new name: files in it would be lost with it.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        if self.safe_folders.lock().contains(folder) {
            return Ok(());
        }
        std::fs::create_dir_all(folder)?;
        if self.durability.syncs_names() {
            // The digits of a storage path are three folders below the store path.
            for above in folder.ancestors().skip(1).take(3) {
                let above = if above.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    above
                };
                sync_folder(above)?;
            }
        }
        let mut safe = self.safe_folders.lock();
        if safe.len() >= SAFE_FOLDERS_MAX {
            safe.clear();
        }
        safe.insert(folder.to_owned());
        Ok(())
    }
}

impl NewFile {
    /// Appends.
    ///
    /// # Errors
    /// The disk is full, or refuses.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Sets space aside, so that a full disk is found out now and the file lies in one piece. Not
    /// every file system can.
    fn preallocate(&self, size: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, size) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) | Ok(()) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        remove_if_there(&self.temporary);
    }
}

/// Opens a stored file for reading.
///
/// # Errors
/// Not there, no regular file, or the disk refuses.
pub(crate) fn open(path: &str) -> io::Result<(File, u64)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidData, "not a regular file"));
    }
    Ok((file, metadata.len()))
}

/// The size of a stored file.
///
/// # Errors
/// Not there, or the disk refuses.
pub(crate) fn size(path: &str) -> io::Result<u64> {
    Ok(std::fs::symlink_metadata(path)?.len())
}

/// Removes temporary files that dead processes left in a store path. `go_on` is asked at every
/// folder.
pub(crate) fn sweep_temporaries(store_path: &Path, now: SystemTime, go_on: &dyn Fn() -> bool) {
    let mut folders = vec![store_path.to_owned()];
    while let Some(folder) = folders.pop() {
        if !go_on() {
            return;
        }
        match std::fs::read_dir(&folder) {
            Ok(entries) => {
                for entry in entries.flatten() {
                    match entry.file_type() {
                        Ok(kind) if kind.is_dir() && is_digits(&entry) => {
                            folders.push(entry.path())
                        }
                        Ok(kind) if kind.is_file() && is_abandoned(&entry, now) => {
                            info!("removing {}, left by an upload", entry.path().display());
                            remove_if_there(&entry.path());
                        }
                        _ => {}
                    }
                }
            }
            Err(e) => debug!("{}: not swept: {e}", folder.display()),
        }
    }
}

/// Whether a folder is one of ours: three hex digits.
fn is_digits(entry: &std::fs::DirEntry) -> bool {
    let name = entry.file_name();
    name.len() == 3 && name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit)
}

/// Whether a file has the form `.<time>_<digits>.<random>` and was not written to for long.
fn is_abandoned(entry: &std::fs::DirEntry, now: SystemTime) -> bool {
    let name = entry.file_name();
    let is_temporary = name
        .to_str()
        .and_then(|name| name.strip_prefix('.'))
        .is_some_and(|name| {
            name.split_once('.')
                .is_some_and(|(name, random)| name.contains('_') && random.len() == 16)
        });
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    is_temporary
        && modified.is_ok_and(|at| {
            now.duration_since(at)
                .is_ok_and(|age| age > ABANDONED_AFTER)
        })
}

/// Renames without overwriting. GlusterFS does not know the flag for that, but link does the same.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty())?;
            rustix::fs::unlink(from)?;
            Ok(())
        }
        result => Ok(result?),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn remove_if_there(path: &Path) {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            warn!("cannot remove {}: {e}", path.display());
        }
        _ => {}
    }
}
