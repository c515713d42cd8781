use std::fs;
use std::path::Path;
use std::sync::Arc;

use db::DatabaseUrl;
use tempfile::TempDir;

use super::super::*;
use crate::config::{Config, Settings};
use crate::db::NewRow;

/// A storage without threads, with store paths `a` and `b`, each with a file of 7 bytes of the same
/// name as its store path.
fn on_two_store_paths() -> (TempDir, Arc<Globals>) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let config = Config::of(Settings {
        state_file: at("storage.state"),
        store_paths: ["a", "b"].map(|name| text(&at(name))).into(),
        database: DatabaseUrl::Sqlite(at("storage.db")),
        ..Settings::default()
    });
    let globals = Globals::open(config).unwrap();
    for name in ["a", "b"] {
        fs::create_dir(at(name).join("000")).unwrap();
        fs::write(path(&globals, name), "content").unwrap();
        let row = NewRow {
            key: key(name),
            group: globals.config.group.clone(),
            path: path(&globals, name),
            size: 7,
            checksum: 0,
            attributes: proto::storage::Attributes::default(),
        };
        globals.files.insert(row, Arc::new(|| true)).unwrap();
    }
    (folder, globals)
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn key(file: &str) -> FileKey {
    FileKey {
        app: "tnvideo".parse().unwrap(),
        user: "tnv001".parse().unwrap(),
        file: file.parse().unwrap(),
    }
}

/// The path of the file on store path `a` or `b`.
fn path(globals: &Globals, name: &str) -> String {
    let idx = usize::from(name == "b");
    format!("{}/000/file", globals.config.store_paths[idx])
}

fn look_at(globals: &Globals, name: &str) {
    let path = path(globals, name);
    recheck_damaged(globals, &|chosen| chosen == path, &|| true);
}

#[test]
fn a_look_at_one_store_path_leaves_the_damage_of_others() {
    let (_folder, globals) = on_two_store_paths();
    let damage = &globals.damage;
    for name in ["a", "b"] {
        damage.note(&key(name), &path(&globals, name), "missing", None);
    }
    look_at(&globals, "b");
    assert_eq!(damage.len(), 1);
    let warnings = globals.warnings.list();
    assert!(warnings[0].contains("tnv001/a: missing"), "{warnings:?}");
    recheck_damaged(&globals, &|_| true, &|| false);
    assert_eq!(damage.len(), 1, "it was not to go on");
    look_at(&globals, "a");
    assert!(globals.warnings.list().is_empty());
    globals.files.close();
}

#[test]
fn content_that_cannot_be_read_is_not_good_because_its_size_is_right() {
    let (_folder, globals) = on_two_store_paths();
    let damage = &globals.damage;
    let (key, path) = (key("a"), path(&globals, "a"));
    damage.note(&key, &path, "unreadable", Some(9));
    damage.forget_size(&key);
    look_at(&globals, "a");
    assert_eq!(damage.len(), 1, "there is no byte 9");
    damage.forget(&key);
    damage.note(&key, &path, "unreadable", Some(3));
    look_at(&globals, "a");
    assert_eq!(damage.len(), 0, "byte 3 can be read again");
    globals.files.close();
}
