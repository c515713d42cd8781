//! Walks the folders of a store path that hold files.

use std::fs::{self, DirEntry};
use std::io::ErrorKind;

use anyhow::Context;

use crate::disks::store_paths::is_folder_name;

/// Visits all entries of a store path and of its folders for files, each with its folder. The visits
/// include these folders.
///
/// # Errors
/// A folder cannot be read; that of a visit.
pub(super) fn walk(
    store_path: &str,
    visit: &mut dyn FnMut(&str, &DirEntry) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut folders = vec![store_path.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            // The folder was removed meanwhile.
            Err(e) if e.kind() == ErrorKind::NotFound && folder != store_path => continue,
            entries => entries.with_context(|| folder.clone())?,
        };
        for entry in entries {
            let entry = entry.with_context(|| folder.clone())?;
            visit(&folder, &entry)?;
            if is_folder_of_files(&entry) {
                folders.push(path_of(&folder, &entry));
            }
        }
    }
    Ok(())
}

/// True for a folder that holds files.
pub(super) fn is_folder_of_files(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    name.to_str().is_some_and(is_folder_name) && entry.file_type().is_ok_and(|kind| kind.is_dir())
}

/// The path of an entry of a folder.
pub(super) fn path_of(folder: &str, entry: &DirEntry) -> String {
    format!("{folder}/{}", entry.file_name().to_string_lossy())
}
