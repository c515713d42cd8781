//! Which folder a store path must be: another one in its place is not written to.

use std::io;

use log::info;

use crate::beneath::Root;
use crate::folder_id::{FolderId, Tag};
use crate::marker::Marker;
use crate::store_path::Access;

/// The folder that is expected at a store path.
pub(crate) enum Expected {
    /// The one with the marker that an administrator made.
    Marked(Marker),
    /// The one of the start, by its numbers, or by its tag if it has one.
    OfStart(Option<Tag>),
    /// Any: files of an earlier configuration lie there, and nothing is written.
    Any,
}

impl Expected {
    /// The folder that is there at the start. A folder that takes no tag is known by its numbers
    /// alone.
    pub(crate) fn of_start(root: &Root, text: &str, access: Access) -> Expected {
        let tag = match access {
            Access::Write => Tag::make(root).map(Some),
            Access::Read => Tag::read(root),
        };
        Expected::OfStart(tag.unwrap_or_else(|e| {
            info!("{text} is known by its device and inode only, it takes no tag: {e}");
            None
        }))
    }

    /// Checks a folder whose numbers are not the `known` ones; none are known at the start.
    ///
    /// # Errors
    /// It is another folder, or cannot be read.
    pub(crate) fn check(&self, root: &Root, known: Option<FolderId>) -> io::Result<()> {
        match self {
            Expected::Marked(marker) => marker.check(root),
            Expected::OfStart(_) if known.is_none() => Ok(()),
            Expected::OfStart(Some(tag)) if Tag::read(root)?.as_ref() == Some(tag) => Ok(()),
            Expected::OfStart(_) => Err(io::Error::other(
                "another folder is in its place than at the start: mount or rename it back, or \
                 restart the storage to take this one",
            )),
            Expected::Any => Ok(()),
        }
    }
}
