//! Folders that refuse a file while its upload runs.

use std::fs;
use std::path::Path;

use rustix::io::Errno;

use super::*;
use crate::disks::store_path::PathHealth;
use crate::test_storage::TestStorage;

impl TestStorage {
    fn health(&self) -> PathHealth {
        self.globals.paths.iter().next().unwrap().health()
    }

    /// A folder of files.
    fn files(&self, digits: &str) -> std::path::PathBuf {
        self.folder.path().join("data/000/000").join(digits)
    }
}

fn finish(incoming: IncomingFile) -> Result<(String, FolderId), Fault> {
    let IncomingFile {
        globals,
        store_path,
        file,
        ..
    } = incoming;
    make_final(&globals, &store_path, file)
}

#[test]
fn a_folder_that_refuses_the_final_name_is_avoided_and_the_store_path_takes_uploads() {
    let storage = TestStorage::new();
    let uploads = [storage.begin("a"), storage.begin("b")];
    // Nothing leads through a link: as after a chmod, the folder refuses.
    let files = storage.files("000");
    fs::rename(&files, storage.folder.path().join("moved")).unwrap();
    std::os::unix::fs::symlink("../../moved", &files).unwrap();
    for upload in uploads {
        let path = upload.path.clone();
        let store_path = Arc::clone(&upload.store_path);
        assert_eq!(finish(upload).unwrap_err().code, ErrorCode::ReadOnly);
        assert!(store_path.avoids(&path), "{path}");
        assert_eq!(storage.health(), PathHealth::Writable);
    }
    let (path, _) = finish(storage.begin("c")).unwrap();
    assert!(Path::new(&path).starts_with(storage.files("001")), "{path}");
}

#[test]
fn a_folder_that_refuses_a_file_whose_path_was_taken_is_passed_over() {
    let storage = TestStorage::new();
    let upload = storage.begin("a");
    fs::write(&upload.path, "of another upload").unwrap();
    // The next path is in the next folder, which is none.
    assert!(upload.store_path.avoid(&upload.path, &Errno::ACCESS.into()));
    fs::write(storage.files("001"), "no folder").unwrap();
    let (path, _) = finish(upload).unwrap();
    assert!(Path::new(&path).starts_with(storage.files("002")), "{path}");
    assert_eq!(storage.health(), PathHealth::Writable);
}
