//! More rows than fit in memory at once.

use std::fs::{self, File, FileTimes};
use std::sync::Arc;
use std::time::SystemTime;

use ::db::DatabaseUrl;
use proto::FileKey;

use super::*;
use crate::config::Settings;
use crate::db::{Change, NewRow};

#[test]
fn files_and_rows_are_compared_part_by_part() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    let files = root.join("000/000/000");
    let config = Config::of(Settings {
        store_paths: vec![root.display().to_string()],
        database: DatabaseUrl::Sqlite(folder.path().join("storage.db")),
        state_file: folder.path().join("state"),
        ..Settings::default()
    });
    let path = |n: u32| {
        files
            .join(format!("5F9E3FA7_{n:03X}"))
            .display()
            .to_string()
    };
    let database = db::open(&config).unwrap();
    fs::create_dir_all(&files).unwrap();
    let mut expected = Vec::new();
    for n in 0..40 {
        let (has_row, has_file) = (n % 3 != 0, n % 5 != 0);
        if has_row {
            let key = FileKey {
                app: "tnvideo".parse().unwrap(),
                user: "tnv001".parse().unwrap(),
                file: format!("f{n}").parse().unwrap(),
            };
            let row = NewRow {
                key,
                group: config.group.clone(),
                path: path(n),
                size: 0,
                checksum: 0,
                attributes: proto::storage::Attributes::default(),
            };
            let made = database.insert(row, Arc::new(|| true)).unwrap();
            assert_eq!(made, Change::Done);
        }
        if has_file {
            let old = FileTimes::new().set_modified(SystemTime::now() - 2 * YOUNG);
            File::create(path(n)).unwrap().set_times(old).unwrap();
        }
        match (has_row, has_file) {
            (false, true) => expected.push(format!("file\t{}", path(n))),
            (true, false) => expected.push(format!("row\t{}\ttnvideo/tnv001/f{n}", path(n))),
            _ => {}
        }
    }
    database.close();
    let mut out = Vec::new();
    list(&config, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}
