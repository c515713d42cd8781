//! What a folder is known by: whether the folder at a path is the one that was there before.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};

use crate::beneath::{Root, rename_new};

/// The name of the file with a folder's tag, directly in it.
const NAME: &str = ".tnv-folder";
/// Longest file that is read, in bytes.
const LEN_MAX: u64 = 256;

/// The numbers of a folder. Equal numbers are the same folder. Others may be, too: a remount can
/// change the device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FolderId {
    device: (u32, u32),
    inode: u64,
    /// When it was made, as far as the file system tells: inodes are used again.
    birth: Option<(i64, u32)>,
}

impl FolderId {
    /// Of an open folder.
    ///
    /// # Errors
    /// The file system does not answer.
    pub(crate) fn of(folder: impl AsFd) -> io::Result<FolderId> {
        FolderId::read(folder, "", AtFlags::EMPTY_PATH)
    }

    /// Of the folder at a path.
    ///
    /// # Errors
    /// It is not there, or the file system does not answer.
    pub(crate) fn at(path: &str) -> io::Result<FolderId> {
        FolderId::read(CWD, path, AtFlags::empty())
    }

    fn read(folder: impl AsFd, path: &str, flags: AtFlags) -> io::Result<FolderId> {
        let fields = StatxFlags::INO | StatxFlags::BTIME;
        let stat = rustix::fs::statx(folder, path, flags, fields)?;
        let has_birth = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
        Ok(FolderId {
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            birth: has_birth.then_some((stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec)),
        })
    }

    /// Device and inode as one key.
    pub(crate) fn key(&self) -> (u32, u32, u64) {
        (self.device.0, self.device.1, self.inode)
    }
}

impl PartialEq for FolderId {
    fn eq(&self, other: &FolderId) -> bool {
        let births = self.birth.zip(other.birth);
        self.key() == other.key() && births.is_none_or(|(one, other)| one == other)
    }
}

/// A random number that a storage puts into a folder and finds again after a remount, which changes
/// the folder's numbers. All storages of a group share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag(String);

impl Tag {
    /// The tag of a folder; a folder without one gets it.
    ///
    /// # Errors
    /// It cannot be read or made.
    pub(crate) fn make(root: &Root) -> io::Result<Tag> {
        if let Some(tag) = Tag::read(root)? {
            return Ok(tag);
        }
        let tag = Tag(format!(
            "tnv folder 1\nid {:032x}\n",
            rand::random::<u128>()
        ));
        let aside = format!("{NAME}.{:016x}", rand::random::<u64>());
        let written = tag
            .write(root, &aside)
            .and_then(|()| rename_new(root, &aside, NAME));
        match written {
            Ok(()) => {
                root.folder("")?.sync_all()?;
                Ok(tag)
            }
            Err(e) => {
                let removed = root.unlink(&aside);
                // A peer that starts at the same time was first.
                if e.kind() == ErrorKind::AlreadyExists
                    && let Some(tag) = Tag::read(root)?
                {
                    return Ok(tag);
                }
                removed.and(Err(e))
            }
        }
    }

    /// The tag of a folder, if it has one.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn read(root: &Root) -> io::Result<Option<Tag>> {
        match root.open_at(NAME, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()) {
            Ok(file) => {
                let mut text = String::new();
                File::from(file).take(LEN_MAX).read_to_string(&mut text)?;
                Ok(Some(Tag(text)))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The tag as the state file has it.
    pub(crate) fn from_text(text: String) -> Tag {
        Tag(text)
    }

    /// As the state file has it, and the file in the folder.
    pub(crate) fn as_text(&self) -> &str {
        &self.0
    }

    /// Checks that a folder has this tag.
    ///
    /// # Errors
    /// It has none or another one: it is another folder. Or it cannot be read.
    pub(crate) fn check(&self, root: &Root) -> io::Result<()> {
        let what = match Tag::read(root)? {
            Some(tag) if tag == *self => return Ok(()),
            Some(_) => "another",
            None => "no",
        };
        let text = format!(
            "another folder is in its place than before, with {what} {NAME}: mount or rename it \
             back, or take this one with tnv-storage --config FILE --init-store"
        );
        Err(io::Error::other(text))
    }

    fn write(&self, root: &Root, name: &str) -> io::Result<()> {
        let mut file = root.create_new(name, Mode::from_raw_mode(0o444))?;
        file.write_all(self.0.as_bytes())?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beneath::Lookup;

    #[test]
    fn a_tag_is_made_once_and_stays_when_the_numbers_change() {
        let folder = tempfile::tempdir().unwrap();
        let open = |path: &std::path::Path| {
            Root::open(path.to_str().unwrap(), Lookup::of_this_system()).unwrap()
        };
        let (first, second) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::create_dir(&first).unwrap();
        std::fs::create_dir(&second).unwrap();
        let [one, other] = [open(&first), open(&second)];
        assert_eq!(Tag::read(&one).unwrap(), None);
        let tag = Tag::make(&one).unwrap();
        assert_eq!(Tag::make(&one).unwrap(), tag);
        assert_ne!(Tag::make(&other).unwrap(), tag);
        assert_ne!(one.id(), other.id());
        assert_eq!(one.id(), FolderId::at(first.to_str().unwrap()).unwrap());
        assert_eq!(std::fs::read_dir(&first).unwrap().count(), 1);
        // A copy, or the same disk under another number.
        std::fs::copy(first.join(NAME), second.join("copy")).unwrap();
        std::fs::rename(second.join("copy"), second.join(NAME)).unwrap();
        assert_eq!(Tag::read(&other).unwrap(), Some(tag));
    }
}
