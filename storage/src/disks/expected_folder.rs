//! The folder that a store path must be. Another folder in its place is neither read nor written.

use std::io;

use log::info;

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
        /// The folder's tag, which the state file remembers. None when the folder takes no tag: then
        /// device and inode identify it until the storage ends.
        tag: Option<FolderTag>,
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
            info!("{text} is known by its device and inode only, it takes no tag: {e}");
            None
        });
        Ok(ExpectedFolder::Folder { marker, tag })
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
        match tag {
            Some(tag) => tag.check(root),
            None if marker.is_some() || known.is_none() => Ok(()),
            None => Err(io::Error::other(
                "another folder is in its place than at the start: mount or rename it back, or \
                 restart the storage to take this one",
            )),
        }
    }
}
