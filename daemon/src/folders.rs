//! Folders that are still there after a power cut.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Makes a folder and those above it that are missing. The name of each new folder is synced, in
/// the folder that holds it.
///
/// # Errors
/// A folder cannot be made or synced.
pub fn create_all(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_all(parent)?;
    }
    match fs::create_dir(folder) {
        // Another process may make it at the same moment: it is synced here too, because this
        // process goes on as if it were safe.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        made => made?,
    }
    sync_holder(folder)
}

/// Syncs the folder that holds `path`, so that the name of `path` survives a power cut.
///
/// # Errors
/// The folder cannot be opened or synced.
pub fn sync_holder(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_missing_is_made_and_what_is_there_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        create_all(&deep).unwrap();
        create_all(&deep).unwrap();
        assert!(deep.is_dir());
        create_all(Path::new("")).unwrap();
        fs::write(deep.join("file"), "").unwrap();
        assert!(create_all(&deep.join("file/d")).is_err());
    }
}
