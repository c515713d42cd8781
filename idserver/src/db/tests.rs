//! Tests for every engine.

use std::path::Path;
use std::thread;

use db::{DatabaseUrl, DbError};
use proto::IdKey;
use rusqlite::Connection;

use super::Ids;
use crate::config::{Config, Settings};

fn open(config: &Config) -> Result<Box<dyn Ids>, DbError> {
    super::open(&config.database, &config.mysql, config.cpp_step)
}

fn init(config: &Config) -> Result<Vec<String>, DbError> {
    super::init(&config.database, &config.mysql)
}

fn key(text: &str) -> IdKey {
    text.parse().unwrap()
}

/// The suite. `ids` is empty; `set` writes a row as another program would.
fn suite(ids: &dyn Ids, set: &dyn Fn(&str, &str)) {
    let reserve = |text: &str, step| ids.reserve(&key(text), step).unwrap();
    assert_eq!(reserve("../data", 100), Some(0..100));
    assert_eq!(reserve("../data", 7), Some(100..107));
    // Keys compare byte for byte.
    for other in ["../Data", "../data ", "../dätä", "../DÄTÄ"] {
        assert_eq!(reserve(other, 1), Some(0..1), "{other}");
    }
    assert_eq!(reserve("../data", 1), Some(107..108));
    rows_are_found_and_counted(ids);
    existing_rows_are_continued(ids, set);
    the_last_numbers_are_not_passed(ids, set);
    every_step_is_reserved_once(ids);
    ids.close();
    assert!(
        ids.reserve(&key("../data"), 1)
            .unwrap_err()
            .is_unavailable()
    );
}

fn rows_are_found_and_counted(ids: &dyn Ids) {
    for known in ["../data", "../dätä"] {
        assert!(ids.has(&key(known)).unwrap(), "{known}");
    }
    for unknown in ["../DATA", "../data  ", "dätä"] {
        assert!(!ids.has(&key(unknown)).unwrap(), "{unknown}");
    }
    assert_eq!([3, 5, 6].map(|max| ids.count(max).unwrap()), [3, 5, 5]);
}

fn existing_rows_are_continued(ids: &dyn Ids, set: &dyn Fn(&str, &str)) {
    set("old", "4200");
    assert_eq!(ids.reserve(&key("old"), 100).unwrap(), Some(4200..4300));
}

fn the_last_numbers_are_not_passed(ids: &dyn Ids, set: &dyn Fn(&str, &str)) {
    let reserve = |step| ids.reserve(&key("full"), step).unwrap();
    set("full", &(i64::MAX - 150).to_string());
    let end = i64::MAX as u64;
    assert_eq!(reserve(100), Some(end - 150..end - 50));
    assert_eq!(reserve(100), None);
    assert_eq!(reserve(50), Some(end - 50..end));
    assert_eq!(reserve(1), None);
    set("negative", "-5");
    assert_eq!(ids.reserve(&key("negative"), 100).unwrap(), None);
    // Their rows were left as they are.
    assert_eq!(ids.reserve(&key("negative"), 1).unwrap(), None);
}

fn every_step_is_reserved_once(ids: &dyn Ids) {
    let mut firsts: Vec<u64> = thread::scope(|scope| {
        let reserve = || ids.reserve(&key("shared"), 3).unwrap().unwrap();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(move || -> Vec<u64> { (0..50).map(|_| reserve().start).collect() })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|t| t.join().unwrap())
            .collect()
    });
    firsts.sort_unstable();
    assert_eq!(firsts, (0..400).map(|n| n * 3).collect::<Vec<_>>());
}

fn sqlite_config(path: &Path) -> Config {
    Config::of(Settings {
        database: DatabaseUrl::Sqlite(path.to_owned()),
        ..Settings::default()
    })
}

#[test]
fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sub/ids.db");
    let url = sqlite_config(&path);
    assert_eq!(init(&url).unwrap().len(), 2);
    suite(&*open(&url).unwrap(), &|key, value| {
        let sql = format!("INSERT INTO t_id_gen (id, id_value) VALUES (?1, {value})");
        let connection = Connection::open(&path).unwrap();
        connection.execute(&sql, [key]).unwrap();
    });
    // What was committed is there after closing and opening.
    let again = open(&url).unwrap();
    assert_eq!(again.reserve(&key("../data"), 1).unwrap(), Some(108..109));
}

#[test]
fn a_copied_table_is_used_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ids.db");
    let table = "CREATE TABLE t_id_gen (id varchar(64) primary key, id_value bigint, \
        create_time timestamp default current_timestamp, \
        update_time timestamp default current_timestamp); \
        INSERT INTO t_id_gen (id, id_value) VALUES ('../data', 300), ('none', NULL);";
    Connection::open(&path)
        .unwrap()
        .execute_batch(table)
        .unwrap();
    let ids = open(&sqlite_config(&path)).unwrap();
    assert_eq!(ids.reserve(&key("../data"), 100).unwrap(), Some(300..400));
    assert_eq!(ids.reserve(&key("none"), 100).unwrap(), None);
}

mod mysql;
