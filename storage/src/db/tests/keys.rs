//! The keys of the tables: a file id belongs to its user, but in tables of the C++ system.

use super::*;
use crate::db::sqlite_schema::MIGRATIONS;

/// Users of one table, and two applications of one of them.
fn owners() -> [FileKey; 3] {
    let of_alice = key("alice", "film/index.m3u8");
    let of_other_app = FileKey {
        app: "other".parse().unwrap(),
        ..of_alice.clone()
    };
    [of_alice, of_other_app, key("tnv001", "film/index.m3u8")]
}

fn row_at(key: &FileKey, path: &str) -> NewRow {
    NewRow {
        path: path.to_owned(),
        ..new_row(key.clone())
    }
}

/// The paths of all files with the id of [`owners`], read in pages of each size.
fn paths(files: &dyn Files) -> Vec<String> {
    let of_size = |size: u32| -> Vec<String> {
        let rows = rows_in_pages(|table, after| files.rows_after(table, after, size));
        let rows = rows.map(Result::unwrap);
        let rows = rows.filter(|row| row.id == "film/index.m3u8");
        rows.map(|row| row.file.path).collect()
    };
    let found = of_size(100);
    for size in [1, 2] {
        assert_eq!(of_size(size), found, "{size}");
    }
    found
}

pub(super) fn an_id_belongs_to_its_user(files: &dyn Files) {
    let owners = owners();
    let path_of = |idx: usize| format!("/data/of-{idx}");
    for (idx, key) in owners.iter().enumerate() {
        assert_eq!(files.conflicting_row(key).unwrap(), None, "{key}");
        insert(files, row_at(key, &path_of(idx))).unwrap();
        let again = insert(files, row_at(key, "elsewhere")).unwrap_err();
        assert!(again.is_conflict(), "{again:?}");
    }
    for (idx, key) in owners.iter().enumerate() {
        assert_eq!(files.find(key).unwrap().unwrap().path, path_of(idx));
        let conflicting = files.conflicting_row(key).unwrap().unwrap();
        assert_eq!(conflicting.file.path, path_of(idx));
    }
    // In the order of the key: "other" comes behind "tnvideo" in no collation.
    assert_eq!(paths(files), [1, 0, 2].map(path_of));
    let mine = group("group001");
    for key in &owners {
        assert_eq!(begin_delete(files, key), Change::Done);
    }
    assert_eq!(unfinished_deletes(files, &mine, "/data/of-").len(), 3);
    end_delete(files, &owners[0]);
    assert_eq!(files.row_of(&owners[0]).unwrap(), None);
    assert!(files.row_of(&owners[1]).unwrap().is_some());
    owners[1..].iter().for_each(|key| end_delete(files, key));
    assert_eq!(paths(files), Vec::<String>::new());
}

#[test]
fn tables_of_the_first_version_in_sqlite_get_the_key_of_the_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("storage.db");
    {
        let old = rusqlite::Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.execute_batch(
            "CREATE TABLE tnv_schema (component text primary key, version integer not null) \
                 strict, without rowid;
             INSERT INTO tnv_schema VALUES ('storage', 1);
             CREATE INDEX t_file_02_users ON t_file_02 (userid);
             INSERT INTO t_file_02 (id, appid, userid, status, file_path, file_size, create_time, \
                 group_name, checksum) VALUES \
                 ('film/index.m3u8', 'tnvideo', 'alice', 0, '/data/kept', 56, \
                 '2020-09-13 12:26:40', 'group001', x'00000000000000000000000000000007'), \
                 ('deleted', 'tnvideo', 'alice', 1, '/data/gone', 56, \
                 '2020-09-13 12:26:40', 'group001', NULL);",
        )
        .unwrap();
    }
    let config = config(DatabaseUrl::Sqlite(path), Durability::Full);
    let files = open(&config).unwrap();
    let [of_alice, _, of_tnv001] = owners();
    let kept = files.find(&of_alice).unwrap().unwrap();
    assert_eq!(
        (kept.path.as_str(), kept.size, kept.created),
        ("/data/kept", 56, 1_600_000_000)
    );
    assert_eq!(kept.checksum, Some(7));
    let unfinished = unfinished_deletes(&*files, &group("group001"), "");
    assert_eq!(
        unfinished,
        [(key("alice", "deleted"), "/data/gone".to_owned())]
    );
    insert(&*files, row_at(&of_tnv001, "/data/new")).unwrap();
    assert_eq!(paths(&*files), ["/data/kept", "/data/new"]);
    lists::lists_have_the_files_of_one_user(&*files);
    files.close();
}

/// The statements of docs/migration.md that change the key.
fn new_key_of_the_documentation() -> String {
    let page = include_str!("../../../../docs/migration.md");
    let section = page
        .split("\n## ")
        .find(|text| text.starts_with("The key of the file tables"));
    let blocks = section.expect("the section").split("```");
    let sql = blocks.filter_map(|block| block.strip_prefix("sql\n"));
    let sql: String = sql.collect();
    assert!(sql.contains("PRIMARY KEY"), "{sql}");
    sql
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_table_of_the_cpp_system_gets_the_key_of_the_owner_while_a_storage_runs() {
    let server = test_mariadb::shared();
    let config = mysql::fresh(server, "new_key");
    server.execute("new_key", &mysql::of_cpp());
    init(&config).unwrap();
    let files = open(&config).unwrap();
    let [of_alice, _, of_tnv001] = owners();
    insert(&*files, row_at(&of_alice, "/data/of-alice")).unwrap();
    let refused = insert(&*files, row_at(&of_tnv001, "/data/of-tnv001")).unwrap_err();
    assert!(refused.is_conflict(), "{refused:?}");
    let other = files.conflicting_row(&of_tnv001).unwrap().unwrap();
    assert_eq!(
        (&*other.user, &*other.file.path),
        ("alice", "/data/of-alice")
    );
    assert_eq!(paths(&*files), ["/data/of-alice"]);

    server.execute("new_key", &new_key_of_the_documentation());
    assert_eq!(files.conflicting_row(&of_tnv001).unwrap(), None);
    insert(&*files, row_at(&of_tnv001, "/data/of-tnv001")).unwrap();
    assert_eq!(paths(&*files), ["/data/of-alice", "/data/of-tnv001"]);
    // Another spelling is another file now.
    insert(&*files, row_at(&key("tnv001", "oldfile"), "/data/other")).unwrap();
    assert_eq!(
        files.find(&key("tnv001", "OldFile")).unwrap().unwrap().size,
        56
    );
    files.close();
}
