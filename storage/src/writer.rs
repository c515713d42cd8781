//! Writes files aside and makes them final when they are whole, as durably as it was told.

use std::collections::HashSet;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;

use log::warn;
use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, Mode};
use rustix::io::Errno;

use crate::beneath::{Root, join, rename_new, split};
use crate::config::Durability;
use crate::folder_sync::FolderSyncs;
use crate::gate::GatedFile;
use crate::leftovers::Leftovers;
use crate::path::Place;
use crate::space::Promise;

/// Smaller files gain nothing from space set aside at once.
const PREALLOCATE_MIN: u64 = 1 << 20;
/// Space is set aside as far ahead as has come, within these bounds: a client that only says how much
/// will come must not take the disk from the others.
const PREALLOCATE_STEPS: (u64, u64) = (8 << 20, 256 << 20);
/// Content is synced after this much, so that the last sync does not outlast a client's patience.
const SYNC_STEP: u64 = 128 << 20;
/// Folders remembered as safe on the disk; forgetting one costs a few syncs.
const SAFE_FOLDERS_MAX: usize = 65_536;

/// Writes files as durably as it was told.
pub(crate) struct FileWriter {
    durability: Durability,
    /// Folders whose own names are known to be synced: a file in them needs one sync only.
    safe_folders: Mutex<HashSet<Folder>>,
    folder_syncs: FolderSyncs<Folder>,
    leftovers: Leftovers,
}

/// A folder by the device and inode of its root, and its path from there.
type Folder = ((u32, u32, u64), String);

/// A file on its way in. Dropping it removes it.
pub(crate) struct NewFile {
    root: Arc<Root>,
    file: GatedFile,
    /// Both from the root, which is called `prefix` in rows.
    temporary: String,
    path: String,
    prefix: String,
    folder: Folder,
    /// Size in the end, in bytes.
    size: u64,
    /// The part of it that is neither written nor set aside.
    promise: Promise,
    written: u64,
    allocated: u64,
    /// Up to where content is synced; absent when it need not be.
    synced: Option<u64>,
    is_final: bool,
    leftovers: Leftovers,
}

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// What was written may be lost: nothing on this disk can be trusted to be synced now.
    #[error("sync failed: {0}")]
    Sync(#[source] io::Error),
    /// The disk refused; nothing is lost but this file.
    #[error(transparent)]
    Refused(#[from] io::Error),
}

impl FileWriter {
    pub(crate) fn new(durability: Durability) -> FileWriter {
        FileWriter {
            durability,
            safe_folders: Mutex::default(),
            folder_syncs: FolderSyncs::default(),
            leftovers: Leftovers::default(),
        }
    }

    /// Begins a file of the promised size at a place; makes the folders on the way.
    ///
    /// # Errors
    /// The disk is full, or refuses.
    pub(crate) fn create(&self, place: Place, promise: Promise) -> Result<NewFile, WriteError> {
        let Place {
            root,
            relative: path,
            prefix,
            pass,
        } = place;
        let folder = split(&path).0;
        let temporary = temporary_of(&path);
        let mode = Mode::from_raw_mode(0o644);
        let folder_key = self.make_folder(&root, folder)?;
        let file = match root.create_new(&temporary, mode) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                // Somebody tidied up: what was known of the folder is no longer so.
                self.safe_folders.lock().remove(&folder_key);
                self.make_folder(&root, folder)?;
                root.create_new(&temporary, mode)
            }
            created => created,
        };
        // Without a quorum it is refused, and made all the same where a brick is left.
        let file = file.inspect_err(|_| self.leftovers.keep(format!("{prefix}{temporary}")))?;
        let synced = self.durability.syncs_content().then_some(0);
        let (written, allocated, is_final) = (0, 0, false);
        let mut new = NewFile {
            root,
            file: GatedFile::new(file, pass.gate().clone()),
            temporary,
            path,
            prefix,
            folder: folder_key,
            size: promise.to_come(),
            promise,
            written,
            allocated,
            synced,
            is_final,
            leftovers: self.leftovers.clone(),
        };
        let preallocated = new.preallocate(0);
        // Before what was begun is removed, which passes the gate by itself.
        drop(pass);
        preallocated?;
        Ok(new)
    }

    /// Ends the content of a whole file: it is as safe as the durability promises, and closed.
    ///
    /// A file system may write, or say that it could not, when a file is closed. Without a sync
    /// before, nothing else tells.
    ///
    /// # Errors
    /// The disk refuses, or does not sync.
    pub(crate) fn end_content(&self, new: &mut NewFile) -> Result<(), WriteError> {
        let _pass = new.file.enter()?;
        if self.durability.syncs_content() {
            new.file.file().sync_data().map_err(WriteError::Sync)?;
        } else {
            new.check_len()?;
        }
        Ok(new.file.close()?)
    }

    /// Gives a file that is not final yet another path, in the same store path.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn redirect(&self, new: &mut NewFile, path: &str) -> Result<(), WriteError> {
        let _pass = new.file.enter()?;
        let path = path.strip_prefix(&new.prefix).unwrap_or(path);
        let folder = self.make_folder(&new.root, split(path).0)?;
        let temporary = temporary_of(path);
        new.root.rename_to(&new.temporary, &temporary)?;
        path.clone_into(&mut new.path);
        (new.temporary, new.folder) = (temporary, folder);
        Ok(())
    }

    /// Makes a file final whose content was ended, and its name as safe as the durability promises.
    ///
    /// # Errors
    /// `AlreadyExists` when the path is taken: [`FileWriter::redirect`] gives it another one. The
    /// disk refuses, or does not sync.
    pub(crate) fn make_final(&self, new: &mut NewFile) -> Result<(), WriteError> {
        let _pass = new.file.enter()?;
        // Opened before the rename: running out of descriptors is no reason to distrust a disk.
        let folder = new.root.folder(split(&new.path).0)?;
        let (from, to) = (split(&new.temporary).1, split(&new.path).1);
        if let Err(e) = rename_new(&folder, from, to) {
            // Refused, and done where a brick is left. A name that was taken is somebody else's.
            if e.kind() != ErrorKind::AlreadyExists {
                self.leftovers.keep(format!("{}{}", new.prefix, new.path));
            }
            return Err(e.into());
        }
        new.is_final = true;
        if self.durability.syncs_names()
            && let Err(e) = self.folder_syncs.sync(&new.folder, || folder.sync_all())
        {
            new.remove(&new.path);
            return Err(WriteError::Sync(e));
        }
        Ok(())
    }

    /// Has a file without a row removed, as soon as that is possible.
    pub(crate) fn discard(&self, path: String) {
        self.leftovers.keep(path);
    }

    /// Removes what failed uploads could not from a store path; `find` knows the places of paths.
    pub(crate) fn remove_leftovers(
        &self,
        store_path: &str,
        find: impl Fn(&str) -> io::Result<Place>,
    ) {
        self.leftovers.remove(store_path, |path| {
            let place = find(path)?;
            place.root.unlink(&place.relative)
        });
    }

    /// Removes a file; one that is gone already is fine.
    ///
    /// # Errors
    /// The disk refuses: the file may still be there.
    pub(crate) fn remove(&self, place: &Place) -> io::Result<()> {
        if place.root.unlink(&place.relative)? && self.durability.syncs_names() {
            place.root.folder(split(&place.relative).0)?.sync_all()?;
        }
        Ok(())
    }

    /// Makes a folder and those above it, and syncs each new name: files in it would be lost with
    /// it.
    fn make_folder(&self, root: &Root, folder: &str) -> Result<Folder, WriteError> {
        let known = (root.id().key(), folder.to_owned());
        if self.safe_folders.lock().contains(&known) {
            return Ok(known);
        }
        let mut made = String::new();
        for digits in folder.split('/').filter(|digits| !digits.is_empty()) {
            let above = made.clone();
            made = join(&above, digits);
            root.make_folder(&made)?;
            if self.durability.syncs_names() {
                root.folder(&above)?.sync_all().map_err(WriteError::Sync)?;
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

/// The path that a file has until it is final: `.<name>.<random>` beside it. GlusterFS takes that for
/// `<name>` when it chooses a brick, so that the rename stays where the bytes are.
fn temporary_of(path: &str) -> String {
    let (folder, name) = split(path);
    join(folder, &format!(".{name}.{:016x}", rand::random::<u64>()))
}

impl NewFile {
    /// Its path from now on, spelled as in rows.
    pub(crate) fn path(&self) -> String {
        format!("{}{}", self.prefix, self.path)
    }

    /// Appends.
    ///
    /// # Errors
    /// The disk is full, refuses, or does not sync.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let _pass = self.file.enter()?;
        let behind = self.size.saturating_sub(self.written + bytes.len() as u64);
        let needed = self.promise.to_come().saturating_sub(behind);
        self.promise.extend(self.file.file(), needed)?;
        self.preallocate(bytes.len() as u64)?;
        self.file.file().write_all(bytes)?;
        self.written += bytes.len() as u64;
        self.promise.shrink(self.size.saturating_sub(self.written));
        if self
            .synced
            .is_some_and(|synced| self.written - synced >= SYNC_STEP)
        {
            self.file.file().sync_data().map_err(WriteError::Sync)?;
            self.synced = Some(self.written);
        }
        Ok(())
    }

    /// Whether all is there: a file system that writes later may say 'written' to what it then
    /// cannot write, and only a sync would tell.
    fn check_len(&self) -> io::Result<()> {
        let len = self.file.file().metadata()?.len();
        if len == self.size {
            return Ok(());
        }
        let text = format!("{len} bytes were written, not {}", self.size);
        Err(io::Error::other(text))
    }

    /// What cannot be removed now is removed later.
    fn remove(&self, name: &str) {
        if let Err(e) = self.root.unlink(name) {
            warn!("cannot remove {name} now: {e}");
            self.leftovers.keep(format!("{}{name}", self.prefix));
        }
    }

    /// Sets space aside for the next `len` bytes and some more, so that a full disk is found out
    /// soon and the file lies in few pieces. Not every file system can.
    fn preallocate(&mut self, len: u64) -> io::Result<()> {
        let beyond = self.written + len >= self.allocated && self.allocated < self.size;
        if self.size < PREALLOCATE_MIN || !beyond {
            return Ok(());
        }
        let ahead = self.written.clamp(PREALLOCATE_STEPS.0, PREALLOCATE_STEPS.1);
        let end = (self.written + len + ahead).min(self.size);
        let step = end - self.allocated;
        let mode = FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(self.file.file(), mode, self.allocated, step) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.allocated = self.size,
            Ok(()) => {
                self.allocated = end;
                self.promise.shrink(self.size - end);
            }
            Err(e) => return Err(e.into()),
        }
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.is_final {
            return;
        }
        // Not now if the disk hangs: its own thread does it later.
        match self.file.enter_now() {
            Ok(_pass) => self.remove(&self.temporary),
            Err(_) => self
                .leftovers
                .keep(format!("{}{}", self.prefix, self.temporary)),
        }
    }
}
