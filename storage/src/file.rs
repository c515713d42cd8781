//! Files on the disk: written aside and renamed when whole, opened, removed. All names are relative
//! to an open folder, so that a mount that goes away cannot change what they mean.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, SystemTime};

use log::{debug, info, warn};
use parking_lot::Mutex;
use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::config::Durability;
use crate::path::Place;

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
    /// Folders whose own names are known to be synced: a file in them needs one sync only.
    safe_folders: Mutex<HashSet<Folder>>,
}

/// A folder by the device and inode of its root, and its path from there.
type Folder = (u64, u64, String);

/// A file on its way in. Dropping it removes it.
pub(crate) struct NewFile {
    root: OwnedFd,
    file: File,
    /// Both from the root.
    temporary: String,
    path: String,
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

    /// Begins a file of `size` bytes at a place; makes the folders on the way.
    ///
    /// The temporary is `.<name>.<random>` beside it: GlusterFS takes that for `<name>` when it
    /// chooses a brick, so that the rename stays where the bytes are.
    ///
    /// # Errors
    /// The disk is full, or refuses.
    pub(crate) fn create(&self, place: Place, size: u64) -> io::Result<NewFile> {
        let Place {
            root,
            relative: path,
        } = place;
        let (folder, name) = split(&path);
        let temporary = join(folder, &format!(".{name}.{:016x}", rand::random::<u64>()));
        let known = self.make_folder(root.as_fd(), folder)?;
        let file = match create_new(root.as_fd(), &temporary) {
            Err(Errno::NOENT) => {
                // Somebody tidied up: what was known of the folder is no longer so.
                self.safe_folders.lock().remove(&known);
                self.make_folder(root.as_fd(), folder)?;
                create_new(root.as_fd(), &temporary)?
            }
            created => created?,
        };
        let new = NewFile {
            root,
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
        rename_new(new.root.as_fd(), &new.temporary, &new.path).map_err(CommitError::Rename)?;
        if self.durability.syncs_names()
            && let Err(e) = sync_folder(new.root.as_fd(), split(&new.path).0)
        {
            remove_if_there(new.root.as_fd(), &new.path);
            return Err(CommitError::Sync(e));
        }
        Ok(())
    }

    /// Removes a file; one that is gone already is fine.
    ///
    /// # Errors
    /// The disk refuses: the file is still there.
    pub(crate) fn remove(&self, place: &Place) -> io::Result<()> {
        match rustix::fs::unlinkat(&place.root, &place.relative, AtFlags::empty()) {
            Ok(()) if self.durability.syncs_names() => {
                sync_folder(place.root.as_fd(), split(&place.relative).0)
            }
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Makes a folder and those above it, and syncs each new name: files in it would be lost with
    /// it.
    fn make_folder(&self, root: BorrowedFd<'_>, folder: &str) -> io::Result<Folder> {
        let stat = rustix::fs::fstat(root)?;
        let known = (stat.st_dev, stat.st_ino, folder.to_owned());
        if self.safe_folders.lock().contains(&known) {
            return Ok(known);
        }
        let mut made = String::new();
        for digits in folder.split('/').filter(|digits| !digits.is_empty()) {
            let above = made.clone();
            made = join(&above, digits);
            match rustix::fs::mkdirat(root, &made, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(e.into()),
            }
            if self.durability.syncs_names() {
                sync_folder(root, &above)?;
            }
        }
        let mut safe = self.safe_folders.lock();
        if safe.len() >= SAFE_FOLDERS_MAX {
            safe.clear();
        }
        safe.insert(known.clone());
        Ok(known)
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
        remove_if_there(self.root.as_fd(), &self.temporary);
    }
}

fn create_new(root: BorrowedFd<'_>, path: &str) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(root, path, flags, Mode::from_raw_mode(0o644)).map(File::from)
}

/// Opens a stored file for reading; tells its size, too.
///
/// # Errors
/// Not there, no regular file, or the disk refuses.
pub(crate) fn open(place: &Place) -> io::Result<(File, u64)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&place.root, &place.relative, flags, Mode::empty())?;
    let file = File::from(file);
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
pub(crate) fn size(place: &Place) -> io::Result<u64> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let stat = rustix::fs::statat(&place.root, &place.relative, flags)?;
    Ok(u64::try_from(stat.st_size).unwrap_or(0))
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
                            remove_abandoned(&entry.path());
                        }
                        _ => {}
                    }
                }
            }
            Err(e) => debug!("{}: not swept: {e}", folder.display()),
        }
    }
}

fn remove_abandoned(path: &Path) {
    if let Err(e) = std::fs::remove_file(path) {
        warn!("cannot remove {}: {e}", path.display());
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
fn rename_new(root: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
    match rustix::fs::renameat_with(root, from, root, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            rustix::fs::linkat(root, from, root, to, AtFlags::empty())?;
            rustix::fs::unlinkat(root, from, AtFlags::empty())?;
            Ok(())
        }
        result => Ok(result?),
    }
}

fn sync_folder(root: BorrowedFd<'_>, folder: &str) -> io::Result<()> {
    let folder = if folder.is_empty() { "." } else { folder };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    File::from(rustix::fs::openat(root, folder, flags, Mode::empty())?).sync_all()
}

fn remove_if_there(root: BorrowedFd<'_>, path: &str) {
    match rustix::fs::unlinkat(root, path, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(e) => warn!("cannot remove {path}: {e}"),
    }
}

/// The folder of a path, and the name in it.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}
