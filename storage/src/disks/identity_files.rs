//! The two files that identify the folder of a store path: the marker names its group, and the tag is
//! random. Both are written once, when the folder is taken into use.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};

use proto::GroupName;
use rustix::fs::{Mode, OFlags};

use crate::disks::root::{Root, rename_new};

/// The marker's name, directly in the store path.
const MARKER: &str = ".tnv-store";
/// The tag's name, directly in the store path.
const TAG: &str = ".tnv-folder";
/// Limit on the bytes read.
const LEN_MAX: u64 = 1024;

/// The content of the marker of a store path. It distinguishes a store path from the empty folder of
/// an unmounted volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker(String);

impl Marker {
    /// The marker of this group at this store path.
    pub(crate) fn new(group: &GroupName, store_path: &str) -> Marker {
        Marker(format!("tnv store 1\ngroup {group}\npath {store_path}\n"))
    }

    /// Checks that a folder has this marker.
    ///
    /// # Errors
    /// It has none, or another one; the message says which. Or the disk does not answer.
    pub(crate) fn check(&self, root: &Root) -> io::Result<()> {
        let found = read(root, MARKER)?.ok_or_else(|| {
            let text =
                format!("has no marker {MARKER}: not mounted, or not made with --init-store");
            io::Error::new(ErrorKind::NotFound, text)
        })?;
        if found == self.0 {
            return Ok(());
        }
        let text = format!(
            "the marker {MARKER} is of another store: found {:?}, expected {:?}",
            found.trim(),
            self.0.trim()
        );
        Err(io::Error::other(text))
    }

    /// Writes the marker, unless the same is there. Returns whether it is new.
    ///
    /// # Errors
    /// The folder belongs to another store, or the disk refuses.
    pub(crate) fn write(&self, root: &Root) -> io::Result<bool> {
        // Not renamed: GlusterFS would leave a pointer file where the first name belongs.
        match write(root, MARKER, &self.0) {
            Ok(()) => root.folder("")?.sync_all().map(|()| true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => self.check(root).map(|()| false),
            Err(e) => Err(e),
        }
    }
}

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
        let text = format!("tnv folder 1\nid {:032x}\n", rand::random::<u128>());
        match create_whole(root, TAG, &text) {
            // A peer created it at the same time.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => FolderTag::read(root)?.ok_or(e),
            created => created.map(|()| FolderTag(text)),
        }
    }

    /// Reads the tag of a folder, if there is one.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn read(root: &Root) -> io::Result<Option<FolderTag>> {
        Ok(read(root, TAG)?.map(FolderTag))
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
            "another folder is in its place than before, with {what} {TAG}: mount or rename it \
             back, or take this one with tnv-storage --config FILE --init-store"
        );
        Err(io::Error::other(text))
    }
}

fn read(root: &Root, name: &str) -> io::Result<Option<String>> {
    // NONBLOCK: a FIFO in its place must not block.
    match root.open_at(name, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()) {
        Ok(file) => io::read_to_string(File::from(file).take(LEN_MAX)).map(Some),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Creates a file durably; it never exists without its whole content. The cleanup removes a file
/// aside that is left.
///
/// # Errors
/// `AlreadyExists`; the disk refuses.
fn create_whole(root: &Root, name: &str, text: &str) -> io::Result<()> {
    let aside = format!("{name}.{:016x}", rand::random::<u64>());
    let written = write(root, &aside, text).and_then(|()| rename_new(root, &aside, name));
    if written.is_err() {
        drop(root.unlink(&aside));
    }
    written?;
    root.folder("")?.sync_all()
}

fn write(root: &Root, name: &str, text: &str) -> io::Result<()> {
    let mut file = root.create_new(name, Mode::from_raw_mode(0o444))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;
    use crate::disks::folder_id::FolderId;
    use crate::disks::root::Lookup;

    fn open(path: &Path) -> Root {
        Root::open(path.to_str().unwrap(), Lookup::of_this_system()).unwrap()
    }

    #[test]
    fn a_tag_is_made_once_and_stays_when_the_numbers_change() {
        let folder = tempfile::tempdir().unwrap();
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
        std::fs::copy(first.join(TAG), second.join("copy")).unwrap();
        std::fs::rename(second.join("copy"), second.join(TAG)).unwrap();
        assert_eq!(FolderTag::read(&other).unwrap(), Some(tag));
    }

    #[test]
    fn a_fifo_in_the_place_of_the_marker_is_no_marker_and_holds_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let mode = Mode::from_raw_mode(0o600);
        mknodat(CWD, folder.path().join(MARKER), FileType::Fifo, mode, 0).unwrap();
        let marker = Marker::new(&"group001".parse().unwrap(), "/srv/a");
        let root = open(folder.path());
        let error = marker.check(&root).unwrap_err();
        assert!(error.to_string().contains("of another store"), "{error}");
        assert!(marker.write(&root).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
