//! Makes folders that survive a power cut.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Makes a folder and its missing parents. Syncs the parent of each new folder.
///
/// # Errors
/// A folder cannot be made or synced.
pub fn create_all(folder: &Path) -> io::Result<()> {
    create_all_and(folder, &mut sync_holder)
}

/// The same with `sync`, which is called after each folder is made.
fn create_all_and(folder: &Path, sync: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_all_and(parent, sync)?;
    }
    match fs::create_dir(folder) {
        // Another process may have made it at the same moment. Sync here, too: this process relies on
        // it.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let text = format!("{} is a file, not a folder", folder.display());
            return Err(io::Error::new(io::ErrorKind::NotADirectory, text));
        }
        made => made?,
    }
    sync(folder)
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
        let error = create_all(&deep.join("file/d")).unwrap_err();
        assert!(
            error.to_string().ends_with("file is a file, not a folder"),
            "{error}"
        );
    }

    #[test]
    fn the_name_of_each_new_folder_is_synced_and_a_sync_that_fails_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        let mut synced = Vec::new();
        let mut sync = |path: &Path| {
            synced.push(path.to_owned());
            assert!(path.is_dir());
            sync_holder(path)
        };
        create_all_and(&deep, &mut sync).unwrap();
        create_all_and(&deep, &mut sync).unwrap();
        assert_eq!(
            synced,
            ["a", "a/b", "a/b/c"].map(|new| folder.path().join(new))
        );
        let mut fails = |_: &Path| Err(io::ErrorKind::StorageFull.into());
        assert!(create_all_and(&deep.join("d"), &mut fails).is_err());
        // It opens the folder that it syncs.
        assert!(sync_holder(&deep.join("missing/name")).is_err());
    }
}
