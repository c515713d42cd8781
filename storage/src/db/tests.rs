//! What every engine must do.

use daemon::db::{DatabaseUrl, DbError};
use proto::{FileKey, GroupName};

use super::{Files, NewRow, StoredRow, init, open};
use crate::config::{Config, Durability};

fn key(user: &str, file: &str) -> FileKey {
    FileKey {
        app: "tnvideo".parse().unwrap(),
        user: user.parse().unwrap(),
        file: file.parse().unwrap(),
    }
}

fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}

fn new_row(key: FileKey) -> NewRow {
    let path = format!(
        "../data/000/000/000/5F9E3FA7_{:03X}",
        key.file.as_str().len()
    );
    NewRow {
        key,
        group: group("group001"),
        path,
        size: 56,
        checksum: u128::MAX - 7,
    }
}

/// The suite. `files` is empty.
fn suite(files: &dyn Files) {
    // One user of each table, ids with letters that a collation might fold.
    for user in ["tnv001", "tnv002", "Émile"] {
        let key_of = |file: &str| key(user, file);
        assert_eq!(files.find(&key_of("a")).unwrap(), None);
        files.insert(new_row(key_of(&format!("a{user}")))).unwrap();
        let row = files.find(&key_of(&format!("a{user}"))).unwrap().unwrap();
        assert_eq!((row.size, row.checksum), (56, Some(u128::MAX - 7)));
        assert!(row.path.starts_with("../data/000/000/000/5F9E3FA7_"));
        assert!(row.created > 1_700_000_000, "{}", row.created);
        assert_eq!(files.find(&key_of(&format!("A{user}"))).unwrap(), None);
    }
    rows_are_listed_in_pages(files);
    existing_rows_are_left_alone(files);
    deletes_have_two_steps(files);
    users_without_files_are_told_from_those_with(files);
    files.close();
    assert!(
        files
            .find(&key("tnv001", "x"))
            .unwrap_err()
            .is_unavailable()
    );
}

fn rows_are_listed_in_pages(files: &dyn Files) {
    let mut keys: Vec<FileKey> = (0..5).map(|n| key("tnv001", &format!("page{n}"))).collect();
    for key in &keys {
        files.insert(new_row(key.clone())).unwrap();
    }
    let group = group("group001");
    files.begin_delete(&keys[4], &group).unwrap();
    keys.push(key("tnv001", "atnv001"));
    let mut listed = Vec::new();
    let table = proto::file_table(&keys[0].user);
    loop {
        let after = listed.last().map_or("", |row: &StoredRow| &row.id);
        let rows = files.rows_behind(table, after, 2).unwrap();
        assert!(rows.len() <= 2);
        if rows.is_empty() {
            break;
        }
        listed.extend(rows);
    }
    let is_ours = |row: &&StoredRow| row.user == "tnv001";
    let ids: Vec<&str> = listed.iter().filter(is_ours).map(|row| &*row.id).collect();
    assert_eq!(
        ids,
        ["atnv001", "page0", "page1", "page2", "page3", "page4"]
    );
    let last = listed.iter().rfind(is_ours).unwrap();
    assert_eq!((&*last.app, last.is_deleting), ("tnvideo", true));
    assert_eq!(last.path, new_row(keys[4].clone()).path);
    assert_eq!(last.group.as_deref(), Some("group001"));
    for key in &keys[..5] {
        files.begin_delete(key, &group).unwrap();
        files.end_delete(key).unwrap();
    }
}

fn existing_rows_are_left_alone(files: &dyn Files) {
    let key = key("tnv001", "atnv001");
    let before = files.find(&key).unwrap();
    let again = NewRow {
        size: 1,
        ..new_row(key.clone())
    };
    assert!(matches!(files.insert(again), Err(DbError::Conflict { .. })));
    assert_eq!(files.find(&key).unwrap(), before);
    // alice's rows are in the same table: another user does not see the file.
    assert_eq!(
        files
            .find(&FileKey {
                user: "alice".parse().unwrap(),
                ..key
            })
            .unwrap(),
        None
    );
}

fn deletes_have_two_steps(files: &dyn Files) {
    let key = key("tnv001", "atnv001");
    let (mine, other) = (group("group001"), group("group002"));
    let path = files.begin_delete(&key, &mine).unwrap();
    assert!(path.is_some());
    assert_eq!(files.find(&key).unwrap(), None);
    assert_eq!(files.begin_delete(&key, &mine).unwrap(), None);
    let unfinished = vec![(key.clone(), path.unwrap())];
    assert_eq!(files.unfinished_deletes(&mine, 10).unwrap(), unfinished);
    assert_eq!(files.unfinished_deletes(&other, 10).unwrap(), vec![]);
    files.end_delete(&key).unwrap();
    assert_eq!(files.unfinished_deletes(&mine, 10).unwrap(), vec![]);
    files.insert(new_row(key.clone())).unwrap();
    // A row that nobody marked stays.
    files.end_delete(&key).unwrap();
    assert!(files.find(&key).unwrap().is_some());
}

/// Users of one table, some of whom a collation might take for the same.
fn users_without_files_are_told_from_those_with(files: &dyn Files) {
    let any_of = |app: &str, user: &str| {
        let found = files.any_of(&app.parse().unwrap(), &user.parse().unwrap());
        found.unwrap().map(|id| id.as_str().to_owned())
    };
    let others = ["tnv001", "用户", "a", "alice"].map(|user| key(user, &format!("of-{user}")));
    for other in &others {
        files.insert(new_row(other.clone())).unwrap();
    }
    for other in &others[1..] {
        assert_eq!(
            any_of("tnvideo", other.user.as_str()).as_deref(),
            Some(other.file.as_str())
        );
    }
    for nobody in ["tnv004", "A", "Alice", "alice "] {
        assert_eq!(any_of("tnvideo", nobody), None, "{nobody}");
    }
    assert_eq!(any_of("other", "alice"), None);
    files.begin_delete(&others[3], &group("group001")).unwrap();
    assert_eq!(any_of("tnvideo", "alice"), None);
    files.end_delete(&others[3]).unwrap();
    assert_eq!(any_of("tnvideo", "alice"), None);
}

fn config(database: DatabaseUrl, durability: Durability) -> Config {
    Config {
        database,
        durability,
        ..Config::default()
    }
}

#[test]
fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::Sqlite(folder.path().join("sub/storage.db"));
    let first = config(url.clone(), Durability::Full);
    assert_eq!(init(&first).unwrap().len(), 2);
    suite(&*open(&first).unwrap());
    // What was committed is there after closing and opening.
    let again = open(&config(url, Durability::None)).unwrap();
    assert!(again.find(&key("tnv002", "atnv002")).unwrap().is_some());
}

mod figures;
mod mysql;
