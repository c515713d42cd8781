//! The file that identifies a folder after a remount.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};

use rustix::fs::{Mode, OFlags};

use crate::disks::root::{Root, rename_new};

/// The tag file's name, directly in the folder.
const NAME: &str = ".tnv-folder";
/// Limit on the bytes read.
const LEN_MAX: u64 = 256;

/// A random id in a file of the folder. It identifies the folder after a remount, which changes its
/// [`FolderId`](super::folder_id::FolderId). All storages of a group share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FolderTag(String);

impl FolderTag {
    /// Reads the tag of a folder, or creates it.
    ///
    /// # Errors
    /// It cannot be read or created.
    pub(crate) fn make(root: &Root) -> io::Result<FolderTag> {
        if let Some(tag) = FolderTag::read(root)? {
            return Ok(tag);
        }
        let tag = FolderTag(format!(
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
                // A peer created it at the same time.
                if e.kind() == ErrorKind::AlreadyExists
                    && let Some(tag) = FolderTag::read(root)?
                {
                    return Ok(tag);
                }
                removed.and(Err(e))
            }
        }
    }

    /// Reads the tag of a folder, if there is one.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn read(root: &Root) -> io::Result<Option<FolderTag>> {
        match root.open_at(NAME, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()) {
            Ok(file) => {
                let mut text = String::new();
                File::from(file).take(LEN_MAX).read_to_string(&mut text)?;
                Ok(Some(FolderTag(text)))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The tag with this text, as in the state file.
    pub(crate) fn from_text(text: String) -> FolderTag {
        FolderTag(text)
    }

    /// The text, as in the state file and in the folder.
    pub(crate) fn as_text(&self) -> &str {
        &self.0
    }

    /// Checks that a folder has this tag.
    ///
    /// # Errors
    /// It has none or another one, so it is another folder. It cannot be read.
    pub(crate) fn check(&self, root: &Root) -> io::Result<()> {
        let what = match FolderTag::read(root)? {
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
    use crate::disks::folder_id::FolderId;
    use crate::disks::root::Lookup;

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
        assert_eq!(FolderTag::read(&one).unwrap(), None);
        let tag = FolderTag::make(&one).unwrap();
        assert_eq!(FolderTag::make(&one).unwrap(), tag);
        assert_ne!(FolderTag::make(&other).unwrap(), tag);
        assert_ne!(one.id(), other.id());
        assert_eq!(one.id(), FolderId::at(first.to_str().unwrap()).unwrap());
        assert_eq!(std::fs::read_dir(&first).unwrap().count(), 1);
        // A copy, or the same disk under another number.
        std::fs::copy(first.join(NAME), second.join("copy")).unwrap();
        std::fs::rename(second.join("copy"), second.join(NAME)).unwrap();
        assert_eq!(FolderTag::read(&other).unwrap(), Some(tag));
    }
}
