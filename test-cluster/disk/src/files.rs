//! Files and folders in memory, by inode number.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::time::{Duration, SystemTime};

use fuser::{Errno, FileAttr, FileType, INodeNo};

/// The block size of statfs.
pub(crate) const BLOCK: u64 = 4096;

/// All files of a disk.
#[derive(Debug)]
pub(crate) struct Files {
    nodes: HashMap<u64, Node>,
    next: u64,
    size: u64,
    /// Delay of its clock behind that of the machine.
    behind: Duration,
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    /// The state at the latest sync, or at the creation. A power cut restores it.
    synced: Kind,
    perm: u16,
    modified: SystemTime,
}

#[derive(Debug, Clone)]
enum Kind {
    Folder(BTreeMap<OsString, u64>),
    File(Vec<u8>),
}

impl Files {
    /// An empty disk of `size` bytes.
    pub(crate) fn new(size: u64) -> Files {
        let root = Node::new(Kind::Folder(BTreeMap::new()), 0o755, SystemTime::now());
        Files {
            nodes: HashMap::from([(INodeNo::ROOT.0, root)]),
            next: INodeNo::ROOT.0 + 1,
            size,
            behind: Duration::ZERO,
        }
    }

    pub(crate) fn find(&self, folder: u64, name: &OsStr) -> Result<u64, Errno> {
        self.names(folder)?.get(name).copied().ok_or(Errno::ENOENT)
    }

    pub(crate) fn attr(&self, ino: u64) -> Result<FileAttr, Errno> {
        let node = self.nodes.get(&ino).ok_or(Errno::ESTALE)?;
        let (kind, size) = match &node.kind {
            Kind::Folder(_) => (FileType::Directory, 0),
            Kind::File(bytes) => (FileType::RegularFile, bytes.len() as u64),
        };
        Ok(FileAttr {
            ino: INodeNo(ino),
            size,
            blocks: size.div_ceil(512),
            atime: node.modified,
            mtime: node.modified,
            ctime: node.modified,
            crtime: node.modified,
            kind,
            perm: node.perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: BLOCK as u32,
            flags: 0,
        })
    }

    /// Creates a folder or an empty file.
    pub(crate) fn make(
        &mut self,
        folder: u64,
        name: &OsStr,
        perm: u16,
        is_folder: bool,
    ) -> Result<u64, Errno> {
        let ino = self.next;
        let names = self.names_mut(folder)?;
        if names.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        names.insert(name.to_owned(), ino);
        self.next += 1;
        let kind = if is_folder {
            Kind::Folder(BTreeMap::new())
        } else {
            Kind::File(Vec::new())
        };
        let now = self.now();
        self.nodes.insert(ino, Node::new(kind, perm, now));
        Ok(ino)
    }

    /// Removes a name. The content stays until [`Files::forget`].
    pub(crate) fn unlink(&mut self, folder: u64, name: &OsStr) -> Result<(), Errno> {
        self.names_mut(folder)?
            .remove(name)
            .map(drop)
            .ok_or(Errno::ENOENT)
    }

    /// The kernel has closed the file: without a name it is removed.
    pub(crate) fn forget(&mut self, ino: u64) {
        let names_it = |kind: &Kind| match kind {
            Kind::Folder(names) => names.values().any(|named| *named == ino),
            Kind::File(_) => false,
        };
        let mut nodes = self.nodes.values();
        let is_named = nodes.any(|node| names_it(&node.kind) || names_it(&node.synced));
        if !is_named && ino != INodeNo::ROOT.0 {
            self.nodes.remove(&ino);
        }
    }

    /// Renames. `replace` allows to overwrite the new name.
    pub(crate) fn rename(
        &mut self,
        (from, name): (u64, &OsStr),
        (to, new): (u64, &OsStr),
        replace: bool,
    ) -> Result<(), Errno> {
        let ino = self.find(from, name)?;
        if !replace && self.names(to)?.contains_key(new) {
            return Err(Errno::EEXIST);
        }
        self.unlink(from, name)?;
        self.names_mut(to)?.insert(new.to_owned(), ino);
        Ok(())
    }

    pub(crate) fn read(&self, ino: u64, offset: u64, len: u32) -> Result<&[u8], Errno> {
        let bytes = self.bytes(ino)?;
        let start = bytes.len().min(offset as usize);
        let end = bytes.len().min(start + len as usize);
        Ok(&bytes[start..end])
    }

    pub(crate) fn write(&mut self, ino: u64, offset: u64, new: &[u8]) -> Result<(), Errno> {
        let (free, len) = (self.free(), self.bytes(ino)?.len());
        let (start, end) = (offset as usize, offset as usize + new.len());
        if end.saturating_sub(len) as u64 > free {
            return Err(Errno::ENOSPC);
        }
        let now = self.now();
        let node = self.nodes.get_mut(&ino).ok_or(Errno::ESTALE)?;
        let Kind::File(bytes) = &mut node.kind else {
            return Err(Errno::EISDIR);
        };
        bytes.resize(len.max(end), 0);
        bytes[start..end].copy_from_slice(new);
        node.modified = now;
        Ok(())
    }

    /// Makes the current state of a file or folder survive a power cut.
    pub(crate) fn sync(&mut self, ino: u64) -> Result<(), Errno> {
        let node = self.nodes.get_mut(&ino).ok_or(Errno::ESTALE)?;
        node.synced = node.kind.clone();
        Ok(())
    }

    /// Restores the synced state.
    pub(crate) fn lose_unsynced(&mut self) {
        for node in self.nodes.values_mut() {
            node.kind = node.synced.clone();
        }
    }

    pub(crate) fn set_behind(&mut self, behind: Duration) {
        self.behind = behind;
    }

    fn now(&self) -> SystemTime {
        SystemTime::now() - self.behind
    }

    /// Free space, in bytes.
    pub(crate) fn free(&self) -> u64 {
        let len = |node: &Node| match &node.kind {
            Kind::Folder(_) => 0,
            Kind::File(bytes) => bytes.len() as u64,
        };
        self.size.saturating_sub(self.nodes.values().map(len).sum())
    }

    /// Size of the disk, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The entries of a folder, sorted.
    pub(crate) fn list(&self, folder: u64) -> Result<Vec<(u64, FileType, OsString)>, Errno> {
        let entry =
            |(name, ino): (&OsString, &u64)| Ok((*ino, self.attr(*ino)?.kind, name.clone()));
        self.names(folder)?.iter().map(entry).collect()
    }

    fn bytes(&self, ino: u64) -> Result<&Vec<u8>, Errno> {
        match self.nodes.get(&ino).map(|node| &node.kind) {
            Some(Kind::File(bytes)) => Ok(bytes),
            Some(Kind::Folder(_)) => Err(Errno::EISDIR),
            None => Err(Errno::ESTALE),
        }
    }

    fn names(&self, folder: u64) -> Result<&BTreeMap<OsString, u64>, Errno> {
        match self.nodes.get(&folder).map(|node| &node.kind) {
            Some(Kind::Folder(names)) => Ok(names),
            Some(Kind::File(_)) => Err(Errno::ENOTDIR),
            None => Err(Errno::ESTALE),
        }
    }

    /// The names in a folder, for a change.
    fn names_mut(&mut self, folder: u64) -> Result<&mut BTreeMap<OsString, u64>, Errno> {
        let now = self.now();
        let node = self.nodes.get_mut(&folder).ok_or(Errno::ESTALE)?;
        node.modified = now;
        match &mut node.kind {
            Kind::Folder(names) => Ok(names),
            Kind::File(_) => Err(Errno::ENOTDIR),
        }
    }
}

impl Node {
    fn new(kind: Kind, perm: u16, modified: SystemTime) -> Node {
        Node {
            synced: kind.clone(),
            kind,
            perm,
            modified,
        }
    }
}
