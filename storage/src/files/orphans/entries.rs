//! The folders of a store path that hold files.

use std::fs::DirEntry;

use crate::files::cleanup::is_folder_name;

/// Whether it is a folder that holds files.
pub(super) fn is_folder_of_ours(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    name.to_str().is_some_and(is_folder_name) && entry.file_type().is_ok_and(|kind| kind.is_dir())
}

/// The path of an entry of a folder.
pub(super) fn path_of(folder: &str, entry: &DirEntry) -> String {
    format!("{folder}/{}", entry.file_name().to_string_lossy())
}
