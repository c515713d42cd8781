//! The folder that a store path must be. Another folder in its place is neither read nor written.

use std::io;
use std::sync::OnceLock;

use log::warn;

use crate::disks::folder_id::FolderId;
use crate::disks::folder_tag::FolderTag;
use crate::disks::marker::Marker;
use crate::disks::root::Root;

/// What opening a store path may change on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Missing folders are created, and a probe is written.
    Write,
    /// Nothing is written.
    Read,
}

/// The folder that is expected at a store path.
pub(crate) enum ExpectedFolder {
    /// One that takes files.
    Folder {
        /// The marker of the volume; none without `require_marker`.
        marker: Option<Marker>,
        /// The folder's tag, which the state file remembers. Not set while the folder takes no tag, as
        /// on a full disk: then device and inode identify it until the storage ends.
        tag: OnceLock<FolderTag>,
    },
    /// Any folder with files of an earlier configuration. Nothing is written to it.
    Any,
}

impl ExpectedFolder {
    /// Accepts the folder at a store path that is used for the first time, and tags it if access
    /// allows that.
    ///
    /// # Errors
    /// The folder lacks the marker.
    pub(crate) fn at_first_sight(
        root: &Root,
        text: &str,
        access: Access,
        marker: Option<Marker>,
    ) -> io::Result<ExpectedFolder> {
        if let Some(marker) = &marker {
            marker.check(root)?;
        }
        let tag = match access {
            Access::Write => FolderTag::make(root).map(Some),
            Access::Read => FolderTag::read(root),
        };
        let tag = tag.unwrap_or_else(|e| {
            warn!(
                "{text} takes no tag, another folder in its place goes unnoticed after a restart; \
                 trying on: {e}"
            );
            None
        });
        let tag = tag.map(OnceLock::from).unwrap_or_default();
        Ok(ExpectedFolder::Folder { marker, tag })
    }

    /// Tags the folder that was accepted, if it took no tag before. Returns true if it has got its tag.
    pub(crate) fn tag_again(&self, root: &Root) -> bool {
        let ExpectedFolder::Folder { tag, .. } = self else {
            return false;
        };
        if tag.get().is_some() {
            return false;
        }
        FolderTag::make(root).is_ok_and(|made| tag.set(made).is_ok())
    }

    /// True if another folder in its place would be accepted at the next start.
    pub(crate) fn lacks_tag(&self) -> bool {
        matches!(self, ExpectedFolder::Folder { tag, .. } if tag.get().is_none())
    }

    /// Checks a folder whose id is not the `known` one; none is known at the start.
    ///
    /// # Errors
    /// It is another folder, or cannot be read.
    pub(crate) fn check(&self, root: &Root, known: Option<FolderId>) -> io::Result<()> {
        let ExpectedFolder::Folder { marker, tag } = self else {
            return Ok(());
        };
        if let Some(marker) = marker {
            marker.check(root)?;
        }
        match tag.get() {
            Some(tag) => tag.check(root),
            None if marker.is_some() || known.is_none() => Ok(()),
            None => Err(io::Error::other(
                "another folder is in its place than at the start: mount or rename it back, or \
                 restart the storage to take this one",
            )),
        }
    }
}
