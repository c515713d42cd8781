//! With pages of two rows.

use std::fs;
use std::path::{Path, PathBuf};

use proto::storage::Attributes;

use super::*;
use crate::config::Config;
use crate::db::NewRow;
use crate::test_storage::settings_in;

/// Stores a file that expires at this second.
fn store(globals: &Globals, folder: &Path, id: &str, expires: Option<i64>) -> (FileKey, PathBuf) {
    let path = folder.join("000/000/000").join(id);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "content").unwrap();
    let key = FileKey {
        app: "tnvideo".parse().unwrap(),
        user: "tnv001".parse().unwrap(),
        file: id.parse().unwrap(),
    };
    let row = NewRow {
        key: key.clone(),
        group: globals.config.group.clone(),
        path: path.to_str().unwrap().to_owned(),
        size: 7,
        checksum: 7,
        attributes: Attributes {
            expires,
            name: None,
        },
    };
    let inserted = globals.files.insert(row, Arc::new(|| true)).unwrap();
    assert_eq!(inserted, Change::Done);
    (key, path)
}

#[test]
fn expired_files_are_deleted_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    // The text of the first store path begins that of the second one.
    let [data, data2] = ["data", "data2"].map(|name| folder.path().join(name));
    let globals =
        Globals::open(Config::of(settings_in(folder.path(), &["data", "data2"]))).unwrap();
    let now = epoch_secs();
    let expired: Vec<_> = (0..7)
        .map(|n| store(&globals, &data, &format!("a{n}"), Some(now - 100 + n)))
        .collect();
    // It cannot be removed, and must not hide the others.
    let (stuck, stuck_path) = store(&globals, &data, "stuck", Some(1));
    fs::remove_file(&stuck_path).unwrap();
    fs::create_dir(&stuck_path).unwrap();
    let kept = [
        store(&globals, &data, "b", None),
        store(&globals, &data, "c", Some(now + 3600)),
        store(&globals, &data2, "d", Some(1)),
    ];
    let store_path = globals.paths.iter().next().unwrap();
    let job = ExpiryJob::new(store_path, 10_000);
    job.run(&globals, &Stop::new());
    for (key, path) in &expired {
        assert!(!path.exists(), "{key}");
        assert_eq!(globals.files.row_of(key).unwrap(), None);
    }
    for (key, path) in &kept {
        assert!(path.exists(), "{key}");
        assert!(!globals.files.row_of(key).unwrap().unwrap().is_deleting);
    }
    // The deletion job goes on with it.
    assert!(globals.files.row_of(&stuck).unwrap().unwrap().is_deleting);
    assert_eq!(globals.metrics.expired_files.get(), 7);
    job.run(&globals, &Stop::new());
    assert_eq!(globals.expiry_lag.seconds(), 0);
    globals.files.close();
}

#[test]
fn a_stop_ends_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let globals = Globals::open(Config::of(settings_in(folder.path(), &["data"]))).unwrap();
    let (key, _) = store(&globals, &data, "a", Some(1));
    let stop = Stop::new();
    stop.trip();
    let store_path = globals.paths.iter().next().unwrap();
    ExpiryJob::new(store_path, 1).run(&globals, &stop);
    assert!(globals.files.row_of(&key).unwrap().is_some());
    assert!(globals.expiry_lag.seconds() > 1_000_000_000);
    globals.files.close();
}
