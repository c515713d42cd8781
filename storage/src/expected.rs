//! Which folder a store path must be: another one in its place is neither read nor written to.

use std::io;

use log::info;

use crate::beneath::Root;
use crate::folder_id::{FolderId, Tag};
use crate::marker::Marker;
use crate::store_path::Access;

/// The folder that is expected at a store path.
pub(crate) enum Expected {
    /// One that takes files.
    Folder {
        /// What an administrator has marked the volume with; absent without `require_marker`.
        marker: Option<Marker>,
        /// The folder's tag, which the state file remembers. Absent when the folder takes no tag: it
        /// is known by its numbers until the storage ends.
        tag: Option<Tag>,
    },
    /// Any: files of an earlier configuration lie there, and nothing is written.
    Any,
}

impl Expected {
    /// The folder that is there when a storage has never seen this store path. It gets a tag if it
    /// has none and may be written to.
    ///
    /// # Errors
    /// It has not the marker that it must have.
    pub(crate) fn at_first_sight(
        root: &Root,
        text: &str,
        access: Access,
        marker: Option<Marker>,
    ) -> io::Result<Expected> {
        if let Some(marker) = &marker {
            marker.check(root)?;
        }
        let tag = match access {
            Access::Write => Tag::make(root).map(Some),
            Access::Read => Tag::read(root),
        };
        let tag = tag.unwrap_or_else(|e| {
            info!("{text} is known by its device and inode only, it takes no tag: {e}");
            None
        });
        Ok(Expected::Folder { marker, tag })
    }

    /// Checks a folder whose numbers are not the `known` ones; none are known at the start.
    ///
    /// # Errors
    /// It is another folder, or cannot be read.
    pub(crate) fn check(&self, root: &Root, known: Option<FolderId>) -> io::Result<()> {
        let Expected::Folder { marker, tag } = self else {
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
