//! With pages of two rows.

use std::fs;
use std::path::Path;

use super::*;
use crate::config::Config;
use crate::db::{Change, Deletion, NewRow};
use crate::test_storage::settings_in;

/// Marks a file at a path as being deleted, and puts it there.
fn begin_deletion(globals: &Globals, id: &str, path: &Path) -> FileKey {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "content").unwrap();
    let key = FileKey {
        app: "tnvideo".parse().unwrap(),
        user: "tnv001".parse().unwrap(),
        file: id.parse().unwrap(),
    };
    let (group, path) = (&globals.config.group, path.to_str().unwrap().to_owned());
    let row = NewRow {
        key: key.clone(),
        group: group.clone(),
        path: path.clone(),
        size: 7,
        checksum: 7,
        attributes: proto::storage::Attributes::default(),
    };
    let inserted = globals.files.insert(row, Arc::new(|| true)).unwrap();
    assert_eq!(inserted, Change::Done);
    let deletion = Deletion {
        key: key.clone(),
        path,
        group: group.clone(),
    };
    let marked = globals.files.begin_delete(deletion, Arc::new(|| true));
    assert_eq!(marked.unwrap(), Change::Done);
    key
}

#[test]
fn deletions_that_fail_hide_no_others() {
    let folder = tempfile::tempdir().unwrap();
    // The text of the first store path begins that of the second one.
    let [data, data2] = ["data", "data2"].map(|name| folder.path().join(name));
    let globals =
        Globals::open(Config::of(settings_in(folder.path(), &["data", "data2"]))).unwrap();
    let begin = |id: &str, path: &Path| {
        let path = path.join("000/000/000").join(id);
        (begin_deletion(&globals, id, &path), path)
    };
    let of_data2: Vec<_> = (0..5).map(|n| begin(&format!("a{n}"), &data2)).collect();
    let stuck: Vec<_> = (0..5).map(|n| begin(&format!("b{n}"), &data)).collect();
    for (_, path) in &stuck {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    }
    let last: Vec<_> = (0..5).map(|n| begin(&format!("c{n}"), &data)).collect();

    let hour = Duration::from_secs(3600);
    let store_path = globals.paths.iter().next().unwrap();
    let mut job = DeletionJob::new(store_path, true, hour, hour);
    job.run(&globals, &Stop::new());
    for (key, path) in &last {
        assert!(!path.exists(), "{key} is behind those that fail");
        assert_eq!(globals.files.row_of(key).unwrap(), None);
    }
    for (key, path) in of_data2.iter().chain(&stuck) {
        assert!(path.exists());
        assert!(globals.files.row_of(key).unwrap().is_some());
    }
    globals.files.close();
}
