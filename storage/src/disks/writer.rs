//! Writes new files under temporary names and renames them when they are complete, as durable as the
//! setting `durability` promises.

use std::collections::HashSet;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;

use log::warn;
use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, Mode};
use rustix::io::Errno;

use crate::config::Durability;
use crate::disks::disk_error::may_concern_folder_only;
use crate::disks::folder_id::FolderId;
use crate::disks::folder_sync::FolderSyncs;
use crate::disks::limiter::LimitedFile;
use crate::disks::placement::spread_subfolders;
use crate::disks::probe::write_probe;
use crate::disks::root::{Root, join, rename_new, split};
use crate::disks::space::SpaceReservation;
use crate::disks::stale_temp_files::StaleTempFiles;
use crate::disks::store_path::ResolvedPath;

/// Smaller files gain nothing from preallocation, in bytes.
const PREALLOCATE_MIN: u64 = 1 << 20;
/// Preallocation goes as far ahead as content was received, within these bounds in bytes. A client
/// that announces a size and sends nothing must not take the disk from the others.
const PREALLOCATE_STEPS: (u64, u64) = (8 << 20, 256 << 20);
/// Content is synced each time so many bytes were written, so that the final sync is short.
const SYNC_STEP: u64 = 128 << 20;
/// Limit on remembered folders. Forgetting one costs a few syncs.
const SYNCED_FOLDERS_MAX: usize = 65_536;

/// Creates and removes files.
pub(crate) struct FileWriter {
    durability: Durability,
    /// Folders whose own names are synced: a new file in them needs one sync of its folder.
    synced_folders: Mutex<HashSet<Folder>>,
    folder_syncs: FolderSyncs<Folder>,
    stale_files: StaleTempFiles,
}

/// A folder: device and inode of its root, and its path relative to the root.
type Folder = ((u32, u32, u64), String);

/// A file that is being written. Dropping it before it is final removes it.
pub(crate) struct NewFile {
    root: Arc<Root>,
    file: LimitedFile,
    id: FolderId,
    /// Both relative to `root`, whose path in rows is `prefix`.
    temporary: String,
    path: String,
    prefix: String,
    folder: Folder,
    /// Final size, in bytes.
    size: u64,
    /// Covers the bytes that are neither written nor preallocated.
    reservation: SpaceReservation,
    written: u64,
    allocated: u64,
    /// Offset up to which content is synced; none without syncs.
    synced: Option<u64>,
    is_final: bool,
    stale_files: StaleTempFiles,
}

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// A sync failed: written content may be lost, of other files too.
    #[error("sync failed: {0}")]
    Sync(#[source] io::Error),
    /// An operation failed; only this file is lost.
    #[error(transparent)]
    Refused(#[from] io::Error),
}

impl FileWriter {
    pub(crate) fn new(durability: Durability) -> FileWriter {
        FileWriter {
            durability,
            synced_folders: Mutex::default(),
            folder_syncs: FolderSyncs::default(),
            stale_files: StaleTempFiles::default(),
        }
    }

    /// Begins a file of the reserved size at a path; creates the folders above it.
    ///
    /// # Errors
    /// The disk is full, or the file system refuses.
    pub(crate) fn create(
        &self,
        at: ResolvedPath,
        reservation: SpaceReservation,
    ) -> Result<NewFile, WriteError> {
        let ResolvedPath {
            root,
            relative: path,
            prefix,
            permit,
            ..
        } = at;
        let folder = split(&path).0;
        let temporary = temporary_of(&path);
        let mode = Mode::from_raw_mode(0o644);
        let folder_key = self.make_folder(&root, folder)?;
        let file = match root.create_new(&temporary, mode) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                // The folder was removed since it was remembered.
                self.synced_folders.lock().remove(&folder_key);
                self.make_folder(&root, folder)?;
                root.create_new(&temporary, mode)
            }
            created => created,
        };
        // Without a quorum GlusterFS refuses the file, yet creates it on the bricks that are up.
        let created = file.and_then(|file| Ok((FolderId::of(&file)?, file)));
        let (id, file) = created.inspect_err(|_| {
            self.stale_files.add(format!("{prefix}{temporary}"), None);
        })?;
        let synced = self.durability.syncs_content().then_some(0);
        let (written, allocated, is_final) = (0, 0, false);
        let mut new = NewFile {
            root,
            file: LimitedFile::new(file, permit.limiter().clone()),
            id,
            temporary,
            path,
            prefix,
            folder: folder_key,
            size: reservation.to_come(),
            reservation,
            written,
            allocated,
            synced,
            is_final,
            stale_files: self.stale_files.clone(),
        };
        let preallocated = new.preallocate(0);
        // The removal in `drop` takes a permit of its own.
        drop(permit);
        preallocated?;
        Ok(new)
    }

    /// Creates the folder of another path of a file's store path, and tries whether the folder takes
    /// files: a refused move does not tell which of two folders refuses.
    ///
    /// # Errors
    /// The folder cannot be created, or refuses files.
    pub(crate) fn check_folder(&self, new: &NewFile, path: &str) -> Result<(), WriteError> {
        let _permit = new.file.acquire()?;
        let path = path.strip_prefix(&new.prefix).unwrap_or(path);
        let folder = split(path).0;
        self.make_folder(&new.root, folder)?;
        match write_probe(&new.root, folder) {
            Err(e) if may_concern_folder_only(&e) => Err(e.into()),
            // The file has its space already.
            _ => Ok(()),
        }
    }

    /// Moves a file that is not final to another path of the same store path.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn move_to(&self, new: &mut NewFile, path: &str) -> Result<(), WriteError> {
        let _permit = new.file.acquire()?;
        let path = path.strip_prefix(&new.prefix).unwrap_or(path);
        let folder = self.make_folder(&new.root, split(path).0)?;
        let temporary = temporary_of(path);
        new.root.rename_to(&new.temporary, &temporary)?;
        path.clone_into(&mut new.path);
        (new.temporary, new.folder) = (temporary, folder);
        Ok(())
    }

    /// Gives a complete file its final name: syncs the content, renames the file, and syncs the name,
    /// as the durability demands.
    ///
    /// # Errors
    /// `AlreadyExists` when the path is taken: [`FileWriter::move_to`] changes it. The disk refuses, or
    /// a sync fails.
    pub(crate) fn make_final(&self, new: &mut NewFile) -> Result<(), WriteError> {
        let _permit = new.file.acquire()?;
        if new.file.is_open() {
            self.finish_content(new)?;
        }
        // Opened before the rename: a lack of descriptors must not count as a failed sync.
        let folder = new.root.folder(split(&new.path).0)?;
        let (from, to) = (split(&new.temporary).1, split(&new.path).1);
        if let Err(e) = rename_new(&folder, from, to) {
            // GlusterFS may refuse the rename, yet do it on the bricks that are up. A taken name is
            // another file.
            if e.kind() != ErrorKind::AlreadyExists {
                self.stale_files.add(new.path(), Some(new.id));
            }
            return Err(e.into());
        }
        new.is_final = true;
        if self.durability.syncs_names()
            && let Err(e) = self.folder_syncs.sync(&new.folder, || folder.sync_all())
        {
            if let Err(e) = new.root.unlink(&new.path) {
                warn!("cannot remove {} now: {e}", new.path());
                self.stale_files.add(new.path(), Some(new.id));
            }
            return Err(WriteError::Sync(e));
        }
        Ok(())
    }

    /// Syncs the content as the durability demands, and closes the file. Without a sync, only the close
    /// reports a delayed write that failed.
    fn finish_content(&self, new: &mut NewFile) -> Result<(), WriteError> {
        if self.durability.syncs_content() {
            new.file.file().sync_data().map_err(WriteError::Sync)?;
        } else {
            new.check_len()?;
        }
        Ok(new.file.close()?)
    }

    /// Notes a final file without a row, to be removed as soon as its disk allows it.
    pub(crate) fn remove_later(&self, path: String, id: FolderId) {
        self.stale_files.add(path, Some(id));
    }

    /// Removes noted files from a store path; `find` resolves their paths.
    pub(crate) fn remove_stale_files(
        &self,
        store_path: &str,
        find: impl Fn(&str) -> io::Result<ResolvedPath>,
    ) {
        self.stale_files.remove(store_path, |file| {
            let at = find(&file.path)?;
            match file.id {
                Some(id) => at.root.unlink_if(&at.relative, id),
                None => at.root.unlink(&at.relative),
            }
        });
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// The disk refuses: the file may still be there.
    pub(crate) fn remove(&self, at: &ResolvedPath) -> io::Result<()> {
        at.open_files.forget(&at.relative);
        if at.root.unlink(&at.relative)? && self.durability.syncs_names() {
            at.root.folder(split(&at.relative).0)?.sync_all()?;
        }
        Ok(())
    }

    /// Creates a folder and those above it, and syncs each new name: files in a folder are lost with
    /// its name.
    fn make_folder(&self, root: &Root, folder: &str) -> Result<Folder, WriteError> {
        let known = (root.id().key(), folder.to_owned());
        if self.synced_folders.lock().contains(&known) {
            return Ok(known);
        }
        let mut made = String::new();
        for digits in folder.split('/').filter(|digits| !digits.is_empty()) {
            let above = made.clone();
            made = join(&above, digits);
            if made == folder {
                spread_subfolders(root, &above);
            }
            root.make_folder(&made)?;
            if self.durability.syncs_names() {
                root.folder(&above)?.sync_all().map_err(WriteError::Sync)?;
            }
        }
        let mut safe = self.synced_folders.lock();
        if safe.len() >= SYNCED_FOLDERS_MAX {
            safe.clear();
        }
        safe.insert(known.clone());
        Ok(known)
    }
}

/// The temporary path of a file: `.<name>.<random>` in its folder. GlusterFS hashes this form like
/// `<name>` to choose a brick, so the rename stays on the brick of the content.
fn temporary_of(path: &str) -> String {
    let (folder, name) = split(path);
    join(folder, &format!(".{name}.{:016x}", rand::random::<u64>()))
}

impl NewFile {
    /// Its final path, spelled as in rows.
    pub(crate) fn path(&self) -> String {
        format!("{}{}", self.prefix, self.path)
    }

    /// Appends content.
    ///
    /// # Errors
    /// The disk is full or refuses, or a sync fails.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let _permit = self.file.acquire()?;
        let behind = self.size.saturating_sub(self.written + bytes.len() as u64);
        let needed = self.reservation.to_come().saturating_sub(behind);
        self.reservation.extend(self.file.file(), needed)?;
        self.preallocate(bytes.len() as u64)?;
        self.file.file().write_all(bytes)?;
        self.written += bytes.len() as u64;
        self.reservation
            .shrink(self.size.saturating_sub(self.written));
        if self
            .synced
            .is_some_and(|synced| self.written - synced >= SYNC_STEP)
        {
            self.file.file().sync_data().map_err(WriteError::Sync)?;
            self.synced = Some(self.written);
        }
        Ok(())
    }

    /// Checks the length, which a failed delayed write may have changed.
    fn check_len(&self) -> io::Result<()> {
        let len = self.file.file().metadata()?.len();
        if len == self.size {
            return Ok(());
        }
        let text = format!("{len} bytes were written, not {}", self.size);
        Err(io::Error::other(text))
    }

    /// The file's identity, whatever its name is.
    pub(crate) fn id(&self) -> FolderId {
        self.id
    }

    /// Removes the temporary file; notes it for later if that fails.
    fn remove_temporary(&self) {
        if let Err(e) = self.root.unlink(&self.temporary) {
            warn!("cannot remove {} now: {e}", self.temporary);
            self.remove_temporary_later();
        }
    }

    fn remove_temporary_later(&self) {
        let path = format!("{}{}", self.prefix, self.temporary);
        self.stale_files.add(path, None);
    }

    /// Preallocates the next `len` bytes and some more, so that a full disk shows early and the file
    /// has few extents. File systems without fallocate are left alone.
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
                self.reservation.shrink(self.size - end);
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
        // Without a free permit the disk's own thread removes it later.
        match self.file.try_acquire() {
            Ok(_permit) => self.remove_temporary(),
            Err(_) => self.remove_temporary_later(),
        }
    }
}

#[cfg(test)]
mod tests;
