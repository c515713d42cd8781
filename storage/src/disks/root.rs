//! Operations on files by paths relative to an open folder. A path never leads out of the folder:
//! `..` and symbolic links are refused. Paths come from rows, which other programs may have written.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use base::link_check;
use log::warn;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags, StatxFlags,
};
use rustix::io::Errno;

use crate::disks::folder_id::FolderId;

/// How a path is resolved without leaving the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// By openat2, in one call.
    Kernel,
    /// Component by component: kernels before 5.6 lack openat2, and some sandboxes refuse it.
    Components,
}

impl Lookup {
    /// Detects what the kernel offers.
    pub(crate) fn of_this_system() -> Lookup {
        match open_in_kernel(CWD, ".", OFlags::PATH, Mode::empty()) {
            Err(Errno::NOSYS | Errno::PERM) => Lookup::Components,
            _ => Lookup::Kernel,
        }
    }
}

/// An open folder. Paths are relative to it; the empty path is the folder itself.
#[derive(Debug)]
pub(crate) struct Root {
    folder: OwnedFd,
    id: FolderId,
    lookup: Lookup,
    is_shared: bool,
}

impl Root {
    /// Opens a folder; symbolic links in `path` are followed.
    ///
    /// # Errors
    /// It is no folder, or cannot be opened.
    pub(crate) fn open(path: &str, lookup: Lookup) -> io::Result<Root> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Root {
            id: FolderId::of(&folder)?,
            is_shared: link_check::is_shared(&folder)?,
            folder,
            lookup,
        })
    }

    /// The folder's id when it was opened.
    pub(crate) fn id(&self) -> FolderId {
        self.id
    }

    /// True if other hosts may change the files: GlusterFS, and all file systems that are not known to
    /// be local.
    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// The same folder as one of a file system that other hosts change.
    #[cfg(test)]
    pub(crate) fn into_shared(self) -> Root {
        Root {
            is_shared: true,
            ..self
        }
    }

    /// Opens a file or folder. A symbolic link at the end of the path is not followed either.
    ///
    /// # Errors
    /// `InvalidData` when the path leads out of the folder or through a file; else the error of the
    /// file system.
    pub(crate) fn open_at(&self, path: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        check(path)?;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let opened = match self.lookup {
            Lookup::Kernel => open_in_kernel(self.folder.as_fd(), or_dot(path), flags, mode),
            Lookup::Components => self.open_by_components(path, flags, mode),
        };
        opened.map_err(|errno| leaving(path, errno))
    }

    /// Opens a folder to list or sync it.
    ///
    /// # Errors
    /// As [`Root::open_at`].
    pub(crate) fn folder(&self, path: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        self.open_at(path, flags, Mode::empty()).map(File::from)
    }

    /// The entries of a folder with their types. Names that are not UTF-8 are left out: no storage
    /// creates them.
    ///
    /// # Errors
    /// As [`Root::open_at`]; the items have errors of the file system.
    pub(crate) fn entries(
        &self,
        path: &str,
    ) -> io::Result<impl Iterator<Item = io::Result<(String, FileType)>>> {
        let entries = Dir::new(self.folder(path)?)?;
        Ok(entries.filter_map(|entry| match entry {
            Ok(entry) => {
                let name = entry.file_name().to_str().ok()?;
                let is_real = !matches!(name, "." | "..");
                is_real.then(|| Ok((name.to_owned(), entry.file_type())))
            }
            Err(e) => Some(Err(e.into())),
        }))
    }

    /// Creates a file for writing.
    ///
    /// # Errors
    /// As [`Root::open_at`]; `AlreadyExists`.
    pub(crate) fn create_new(&self, path: &str, mode: Mode) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        self.open_at(path, flags, mode).map(File::from)
    }

    /// Creates a folder. Returns false if it was there.
    ///
    /// # Errors
    /// As [`Root::open_at`].
    pub(crate) fn make_folder(&self, path: &str) -> io::Result<bool> {
        let (parent, name) = self.parent(path)?;
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Removes a file. Returns false if it was not there.
    ///
    /// # Errors
    /// As [`Root::open_at`].
    pub(crate) fn unlink(&self, path: &str) -> io::Result<bool> {
        let removed = self.parent(path).and_then(|(parent, name)| {
            rustix::fs::unlinkat(&parent, name, AtFlags::empty()).map_err(io::Error::from)
        });
        match removed {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Removes a file only if it has this id: another file may have got its name. Returns true if it
    /// was there.
    ///
    /// # Errors
    /// As [`Root::open_at`].
    pub(crate) fn unlink_if(&self, path: &str, id: FolderId) -> io::Result<bool> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_FORCE_SYNC;
        let found = self
            .parent(path)
            .and_then(|(parent, name)| FolderId::read(&parent, name, flags));
        match found {
            Ok(found) if found == id => self.unlink(path),
            Ok(_) => Ok(false),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Renames a file; an existing file of the new name is replaced.
    ///
    /// # Errors
    /// As [`Root::open_at`].
    pub(crate) fn rename_to(&self, from: &str, to: &str) -> io::Result<()> {
        let ((old, from), (new, to)) = (self.parent(from)?, self.parent(to)?);
        Ok(rustix::fs::renameat(&old, from, &new, to)?)
    }

    /// Reads attributes, bypassing the kernel's cache of a network file system: a peer may have
    /// removed the file.
    ///
    /// # Errors
    /// As [`Root::open_at`].
    pub(crate) fn statx(&self, path: &str, fields: StatxFlags) -> io::Result<rustix::fs::Statx> {
        let (parent, name) = self.parent(path)?;
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_FORCE_SYNC;
        Ok(rustix::fs::statx(&parent, name, flags, fields)?)
    }

    /// Opens the parent folder of a path, and gives the name in it.
    fn parent<'a>(&self, path: &'a str) -> io::Result<(OwnedFd, &'a str)> {
        let (folder, name) = split(path);
        check(name)?;
        if name.is_empty() {
            return Err(outside(path));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        Ok((self.open_at(folder, flags, Mode::empty())?, name))
    }

    fn open_by_components(&self, path: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let (folder, name) = split(path);
        let on_the_way = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut at: Option<OwnedFd> = None;
        for component in folder.split('/').filter(|component| !component.is_empty()) {
            let from = at.as_ref().map_or(self.folder.as_fd(), AsFd::as_fd);
            at = Some(rustix::fs::openat(
                from,
                component,
                on_the_way,
                Mode::empty(),
            )?);
        }
        let from = at.as_ref().map_or(self.folder.as_fd(), AsFd::as_fd);
        rustix::fs::openat(from, or_dot(name), flags, mode)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

fn open_in_kernel(
    folder: BorrowedFd<'_>,
    path: &str,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // openat2 refuses a mode without CREATE.
    let mode = if flags.contains(OFlags::CREATE) {
        mode
    } else {
        Mode::empty()
    };
    rustix::fs::openat2(folder, path, flags, mode, resolve)
}

/// Renames within a folder without replacing a file. GlusterFS lacks RENAME_NOREPLACE; there it links
/// and unlinks.
///
/// # Errors
/// The new name is taken, or the disk refuses.
pub(crate) fn rename_new(folder: impl AsFd, from: &str, to: &str) -> io::Result<()> {
    let folder = folder.as_fd();
    match rustix::fs::renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            rustix::fs::linkat(folder, from, folder, to, AtFlags::empty())?;
            match rustix::fs::unlinkat(folder, from, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(e) => warn!("cannot remove {from}: {e}"),
            }
            Ok(())
        }
        result => Ok(result?),
    }
}

/// Splits a path into folder and name.
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

/// Refuses a path with empty components, `.` or `..`.
fn check(path: &str) -> io::Result<()> {
    let is_plain = |component: &str| !matches!(component, "" | "." | "..");
    if path.is_empty() || path.split('/').all(is_plain) {
        Ok(())
    } else {
        Err(outside(path))
    }
}

/// The error for a path that is not below a store path.
pub(crate) fn outside(path: &str) -> io::Error {
    let text = format!("{path} is no path of a file below a store path");
    io::Error::new(ErrorKind::InvalidData, text)
}

fn leaving(path: &str, errno: Errno) -> io::Error {
    match errno {
        Errno::LOOP | Errno::XDEV | Errno::NOTDIR => {
            let text = format!("a symbolic link or a file is in the place of a folder of {path}");
            io::Error::new(ErrorKind::InvalidData, text)
        }
        errno => errno.into(),
    }
}

fn or_dot(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}

#[cfg(test)]
mod tests;
