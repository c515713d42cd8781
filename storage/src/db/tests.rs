//! One suite for every engine.

use std::sync::Arc;

use db::{DatabaseUrl, DbError};
use proto::storage::Attributes;
use proto::{FileKey, GroupName};

use super::{
    Change, Deletion, Files, NewRow, Position, StoredRow, TABLES, init, open, rows_in_pages,
};
use crate::config::{Config, Durability, Settings};
use crate::state::quotas::Sum;

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
        attributes: Attributes::default(),
    }
}

fn insert(files: &dyn Files, row: NewRow) -> Result<Change, DbError> {
    files.insert(row, Arc::new(|| true))
}

/// Marks the row of a file at a path, if `wanted`.
fn mark(files: &dyn Files, key: &FileKey, path: &str, wanted: bool) -> Change {
    let deletion = Deletion {
        key: key.clone(),
        path: path.to_owned(),
        group: group("group001"),
    };
    let marked = files.begin_delete(deletion, Arc::new(move || wanted));
    marked.unwrap()
}

/// Marks the row of a file, wherever that lies.
fn begin_delete(files: &dyn Files, key: &FileKey) -> Change {
    let path = files
        .row_of(key)
        .unwrap()
        .map_or_else(String::new, |row| row.file.path);
    mark(files, key, &path, true)
}

fn end_delete(files: &dyn Files, key: &FileKey) {
    if let Some(row) = files.row_of(key).unwrap() {
        files.end_delete(key, &row.file.path).unwrap();
    }
}

/// The suite. `files` is empty.
fn suite(files: &dyn Files) {
    // One user of each table, ids with letters that a collation might fold.
    for user in ["tnv001", "tnv002", "Émile"] {
        let key_of = |file: &str| key(user, file);
        assert_eq!(files.find(&key_of("a")).unwrap(), None);
        insert(files, new_row(key_of(&format!("a{user}")))).unwrap();
        let row = files.find(&key_of(&format!("a{user}"))).unwrap().unwrap();
        assert_eq!((row.size, row.checksum), (56, Some(u128::MAX - 7)));
        assert!(row.path.starts_with("../data/000/000/000/5F9E3FA7_"));
        assert!(row.created > 1_700_000_000, "{}", row.created);
        assert_eq!(files.find(&key_of(&format!("A{user}"))).unwrap(), None);
    }
    rows_that_nobody_wants_are_not_made(files);
    rows_are_listed_in_pages(files);
    existing_rows_are_left_alone(files);
    keys::an_id_belongs_to_its_user(files);
    attributes_are_kept_and_expired_files_are_found(files);
    deletes_have_two_steps(files);
    the_files_of_an_application_are_summed_in_parts(files);
    unfinished_deletes_come_in_pages(files);
    users_without_files_are_told_from_those_with(files);
    lists::lists_have_the_files_of_one_user(files);
    lists::lists_leave_out_old_deleted_and_foreign_files(files);
    files.close();
    assert!(
        files
            .find(&key("tnv001", "x"))
            .unwrap_err()
            .is_unavailable()
    );
}

fn rows_that_nobody_wants_are_not_made(files: &dyn Files) {
    let key = key("tnv001", "late");
    let unwanted = files.insert(new_row(key.clone()), Arc::new(|| false));
    assert_eq!(unwanted.unwrap(), Change::NotWanted);
    assert_eq!(files.row_of(&key).unwrap(), None);
}

fn rows_are_listed_in_pages(files: &dyn Files) {
    let mut keys: Vec<FileKey> = (0..5).map(|n| key("tnv001", &format!("page{n}"))).collect();
    for key in &keys {
        insert(files, new_row(key.clone())).unwrap();
    }
    assert_eq!(begin_delete(files, &keys[4]), Change::Done);
    keys.push(key("tnv001", "atnv001"));
    let page = |table, after: &Position| {
        let rows = files.rows_after(table, after, 2)?;
        assert!(rows.len() <= 2);
        Ok(rows)
    };
    let listed: Vec<_> = rows_in_pages(page).map(Result::unwrap).collect();
    let is_ours = |row: &&StoredRow| row.user == "tnv001";
    let ids: Vec<&str> = listed.iter().filter(is_ours).map(|row| &*row.id).collect();
    assert_eq!(
        ids,
        ["atnv001", "page0", "page1", "page2", "page3", "page4"]
    );
    let last = listed.iter().rfind(is_ours).unwrap();
    assert_eq!((&*last.app, last.is_deleting), ("tnvideo", true));
    assert_eq!(last.file.path, new_row(keys[4].clone()).path);
    assert_eq!(last.file.group.as_deref(), Some("group001"));
    for key in &keys[..5] {
        assert_eq!(begin_delete(files, key), Change::Done);
        end_delete(files, key);
    }
}

fn existing_rows_are_left_alone(files: &dyn Files) {
    let key = key("tnv001", "atnv001");
    let before = files.find(&key).unwrap();
    let again = NewRow {
        size: 1,
        ..new_row(key.clone())
    };
    assert!(matches!(
        insert(files, again),
        Err(DbError::Conflict { .. })
    ));
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

fn attributes_are_kept_and_expired_files_are_found(files: &dyn Files) {
    let expiring = |file: &str, group_name: &str, expires: Option<i64>| NewRow {
        group: group(group_name),
        path: format!("/data/{file}"),
        attributes: Attributes {
            expires,
            name: expires.map(|_| "Der Film ü.mp4".parse().unwrap()),
        },
        ..new_row(key("tnv001", file))
    };
    for row in [
        expiring("second", "group001", Some(200)),
        expiring("first", "group001", Some(100)),
        expiring("third", "group001", Some(300)),
        expiring("never", "group001", None),
        expiring("of others", "group002", Some(100)),
    ] {
        insert(files, row).unwrap();
    }
    let row = files.find(&key("tnv001", "first")).unwrap().unwrap();
    assert_eq!(
        (row.expires, row.name.as_deref()),
        (Some(100), Some("Der Film ü.mp4"))
    );
    assert!(!row.is_expired(99) && row.is_expired(100));
    let row = files.find(&key("tnv001", "never")).unwrap().unwrap();
    assert_eq!((row.expires, row.name), (None, None));
    let mine = group("group001");
    let found = |prefix: &str, now: i64, limit: u32| -> Vec<String> {
        let of = (&mine, prefix);
        let rows = TABLES.map(|table| files.expired(table, of, now, limit).unwrap());
        rows.into_iter().flatten().map(|row| row.id).collect()
    };
    assert_eq!(found("/data/", 200, 10), ["first", "second"]);
    assert_eq!(found("/data/", 300, 2), ["first", "second"]);
    assert!(found("/data/", 99, 10).is_empty() && found("/other/", 300, 10).is_empty());
    begin_delete(files, &key("tnv001", "first"));
    assert_eq!(found("/data/", 200, 10), ["second"]);
    for file in ["first", "second", "third", "never", "of others"] {
        begin_delete(files, &key("tnv001", file));
        end_delete(files, &key("tnv001", file));
    }
}

/// The files of an application in all tables.
fn sum_of_app(files: &dyn Files, app: &str) -> Sum {
    let (app, group) = (app.parse().unwrap(), group("group001"));
    let mut sum = Sum::default();
    for table in TABLES {
        let mut after = Some(String::new());
        while let Some(from) = after {
            let part = files.sum_of_app(table, (&app, &group), &from);
            let (part, next) = part.unwrap();
            sum.add(part);
            after = next;
        }
    }
    sum
}

fn the_files_of_an_application_are_summed_in_parts(files: &dyn Files) {
    let of_app = |user: &str, file: &str| FileKey {
        app: "summed".parse().unwrap(),
        ..key(user, file)
    };
    assert_eq!(sum_of_app(files, "summed"), Sum::default());
    let keys = [
        of_app("tnv001", "a"),
        of_app("tnv001", "b"),
        of_app("alice", "a"),
        of_app("alice", "z"),
        of_app("tnv002", "a"),
    ];
    for key in &keys {
        insert(files, new_row(key.clone())).unwrap();
    }
    insert(files, new_row(key("tnv001", "c"))).unwrap();
    let of_others = NewRow {
        group: group("group002"),
        ..new_row(of_app("alice", "of others"))
    };
    insert(files, of_others).unwrap();
    assert_eq!(begin_delete(files, &keys[1]), Change::Done);
    let expected = Sum {
        files: 4,
        bytes: 4 * 56,
    };
    assert_eq!(sum_of_app(files, "summed"), expected);
    for key in keys
        .iter()
        .chain([&key("tnv001", "c"), &of_app("alice", "of others")])
    {
        begin_delete(files, key);
        end_delete(files, key);
    }
}

fn deletes_have_two_steps(files: &dyn Files) {
    let key = key("tnv001", "atnv001");
    let (mine, other) = (group("group001"), group("group002"));
    let path = files.find(&key).unwrap().unwrap().path;
    assert_eq!(mark(files, &key, "elsewhere", true), Change::NoRow);
    assert_eq!(mark(files, &key, &path, false), Change::NotWanted);
    assert!(files.find(&key).unwrap().is_some());
    assert_eq!(begin_delete(files, &key), Change::Done);
    assert_eq!(files.find(&key).unwrap(), None);
    let holder = files.row_of(&key).unwrap().unwrap();
    assert!(holder.is_deleting && holder.is_of(&key));
    assert_eq!(
        (holder.file.path.as_str(), holder.file.size),
        (path.as_str(), 56)
    );
    assert_eq!(begin_delete(files, &key), Change::Done);
    let unfinished = vec![(key.clone(), path)];
    assert_eq!(unfinished_deletes(files, &mine, ""), unfinished);
    assert_eq!(unfinished_deletes(files, &other, ""), vec![]);
    // A late end of the deletion of an earlier file of this id.
    files.end_delete(&key, "elsewhere").unwrap();
    assert_eq!(unfinished_deletes(files, &mine, ""), unfinished);
    end_delete(files, &key);
    assert_eq!(unfinished_deletes(files, &mine, ""), vec![]);
    assert_eq!(files.row_of(&key).unwrap(), None);
    insert(files, new_row(key.clone())).unwrap();
    // A row that nobody marked stays.
    end_delete(files, &key);
    assert!(files.find(&key).unwrap().is_some());
}

/// The files of a group with unfinished deletions below a path, read in pages of two rows.
fn unfinished_deletes(
    files: &dyn Files,
    group: &GroupName,
    prefix: &str,
) -> Vec<(FileKey, String)> {
    let page = |table, after: &Position| {
        let rows = files.unfinished_deletes(table, (group, prefix), after, 2)?;
        assert!(rows.len() <= 2);
        Ok(rows)
    };
    let rows = rows_in_pages(page).map(Result::unwrap);
    rows.map(|row| (row.key().unwrap(), row.file.path))
        .collect()
}

fn unfinished_deletes_come_in_pages(files: &dyn Files) {
    let mine = group("group001");
    let expected = |store_path: &str| -> Vec<(FileKey, String)> {
        let of = |n: usize| {
            (
                key("tnv001", &format!("un{n}")),
                format!("{store_path}/{n}"),
            )
        };
        let from = if store_path == "/data" { 0 } else { 1 };
        (from..5).step_by(2).map(of).collect()
    };
    for (key, path) in expected("/data").into_iter().chain(expected("/data2")) {
        let row = NewRow {
            path,
            ..new_row(key.clone())
        };
        insert(files, row).unwrap();
        assert_eq!(begin_delete(files, &key), Change::Done);
    }
    for store_path in ["/data", "/data2"] {
        let found = unfinished_deletes(files, &mine, &format!("{store_path}/"));
        assert_eq!(found, expected(store_path));
    }
    let all = unfinished_deletes(files, &mine, "");
    assert_eq!(all.len(), 5, "{all:?}");
    all.iter().for_each(|(key, _)| end_delete(files, key));
}

/// Users of one table, some of whom a collation might take for the same.
fn users_without_files_are_told_from_those_with(files: &dyn Files) {
    let any_of = |app: &str, user: &str| {
        let mine = group("group001");
        let found = files.any_file_of(&app.parse().unwrap(), &user.parse().unwrap(), &mine);
        found.unwrap().map(|id| id.as_str().to_owned())
    };
    let others = ["tnv001", "用户", "a", "alice"].map(|user| key(user, &format!("of-{user}")));
    for other in &others {
        insert(files, new_row(other.clone())).unwrap();
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
    let elsewhere = NewRow {
        group: group("group002"),
        ..new_row(key("carol", "of another group"))
    };
    insert(files, elsewhere).unwrap();
    assert_eq!(any_of("tnvideo", "carol"), None);
    begin_delete(files, &others[3]);
    assert_eq!(any_of("tnvideo", "alice"), None);
    end_delete(files, &others[3]);
    assert_eq!(any_of("tnvideo", "alice"), None);
}

fn config(database: DatabaseUrl, durability: Durability) -> Config {
    Config::of(Settings {
        database,
        durability,
        ..Settings::default()
    })
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

mod keys;
mod lists;
mod lost_answer;
mod mysql;
