//! The folder that a store path must be. Another folder in its place is neither read nor written.

use std::io;
use std::sync::OnceLock;

use log::warn;
use parking_lot::Mutex;

use crate::disks::folder_id::FolderId;
use crate::disks::identity_files::{FolderTag, Marker};
use crate::disks::root::Root;

/// The changes that opening a store path may make on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Missing folders are created, and a probe is written.
    Write,
    /// Nothing is written.
    Read,
}

/// The folder that is expected at a store path.
#[derive(Default)]
pub(crate) struct ExpectedFolder {
    /// True for any folder with files of an earlier configuration. Nothing is written to it.
    pub(crate) is_former: bool,
    /// The marker of the volume; none without `require_marker`.
    pub(crate) marker: Option<Marker>,
    /// The folder's tag, which the state file remembers. Not set while the folder takes no tag, as on a
    /// full disk: then device and inode identify it until the storage ends.
    pub(crate) tag: OnceLock<FolderTag>,
    /// The folder that the latest check accepted.
    pub(super) accepted: Mutex<Option<FolderId>>,
}

impl ExpectedFolder {
    /// Accepts the folder at a store path that is used for the first time, and tags it if access
    /// allows that.
    ///
    /// # Errors
    /// The folder lacks the marker.
    pub(crate) fn accept_first(&self, root: &Root, text: &str, access: Access) -> io::Result<()> {
        if let Some(marker) = &self.marker {
            marker.check(root)?;
        }
        let tag = match access {
            Access::Write => FolderTag::make(root).map(Some),
            Access::Read => FolderTag::read(root),
        };
        match tag {
            Ok(Some(tag)) => drop(self.tag.set(tag)),
            Ok(None) => {}
            Err(e) => warn!(
                "{text} takes no tag, another folder in its place goes unnoticed after a restart; \
                 trying on: {e}"
            ),
        }
        Ok(())
    }

    /// Tags the folder that was accepted, if it took no tag before. Returns true if it has got its tag.
    pub(crate) fn tag_again(&self, root: &Root) -> bool {
        self.lacks_tag() && FolderTag::make(root).is_ok_and(|made| self.tag.set(made).is_ok())
    }

    /// True if another folder in its place would be accepted at the next start.
    pub(crate) fn lacks_tag(&self) -> bool {
        !self.is_former && self.tag.get().is_none()
    }

    /// Checks that an open folder is the expected one.
    ///
    /// # Errors
    /// It is another folder, or cannot be read.
    pub(crate) fn check(&self, root: &Root) -> io::Result<()> {
        let accepted = *self.accepted.lock();
        if accepted != Some(root.id()) {
            self.check_another(root, accepted.is_none())?;
            *self.accepted.lock() = Some(root.id());
        }
        Ok(())
    }

    /// Checks a folder with another id, as after a remount, or the first one after a start.
    fn check_another(&self, root: &Root, is_first: bool) -> io::Result<()> {
        if self.is_former {
            return Ok(());
        }
        if let Some(marker) = &self.marker {
            marker.check(root)?;
        }
        match self.tag.get() {
            Some(tag) => tag.check(root),
            None if self.marker.is_some() || is_first => Ok(()),
            None => Err(io::Error::other(
                "another folder is in its place than at the start: mount or rename it back, or \
                 restart the storage to take this one",
            )),
        }
    }
}
