//! Databases on a file system that is mounted read-only.

use test_disk::SmallDisk;

use super::*;

/// A name that needs escapes in a URI.
const NAME: &str = "a b?%41#\u{e9}.db";

fn open_at(path: &Path) -> Result<Sqlite, DbError> {
    Sqlite::open(path, Synchronous::Normal, "test", &[TABLE])
}

/// Copies of a database with a row, in folders named after what a process left there: `clean`, `log`
/// with a log, and `crash` with its index too. A second row is in the log only.
fn databases(folder: &Path) -> [PathBuf; 3] {
    let path = folder.join(NAME);
    let db = open_at(&path).unwrap();
    db.write(|c| insert(c, "a")).unwrap();
    db.close();
    let copies = ["clean", "log", "crash"].map(|name| folder.join(name).join(NAME));
    for copy in &copies {
        fs::create_dir(copy.parent().unwrap()).unwrap();
        fs::copy(&path, copy).unwrap();
    }
    let db = open_at(&path).unwrap();
    db.write(|c| insert(c, "b")).unwrap();
    for (copy, suffix) in [(1, "-wal"), (2, "-wal"), (2, "-shm")] {
        fs::copy(beside(&path, suffix), beside(&copies[copy], suffix)).unwrap();
    }
    copies
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out mounts")]
fn rows_are_read_whole_on_a_read_only_file_system_and_written_when_opened_on_a_writable_one() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), 16 << 20).unwrap();
    let paths = databases(folder.path());
    disk.set_read_only(true).unwrap();
    let rows: [&[&str]; 3] = [&["a"], &["a", "b"], &["a", "b"]];
    let opened = paths.each_ref().map(|path| open_at(path).unwrap());
    for (db, rows) in opened.iter().zip(rows) {
        assert_eq!(names(db), rows);
        let found = db.availability();
        assert!(found.reads.is_ok(), "{found:?}");
        assert!(
            matches!(found.writes, Err(DbError::ReadsOnly { .. })),
            "{found:?}"
        );
        let refused = db.write(|c| insert(c, "lost")).unwrap_err();
        assert!(
            refused.refuses_writes() && refused.is_awaited(),
            "{refused:?}"
        );
        let text = format!("{:#}", anyhow::Error::from(refused));
        assert!(text.contains("mount it writable and restart"), "{text}");
    }

    disk.set_read_only(false).unwrap();
    for ((db, path), rows) in opened.iter().zip(&paths).zip(rows) {
        // It says that it needs a restart, and reads as long as nobody else has written.
        assert!(db.write(|c| insert(c, "lost")).is_err());
        assert_eq!(names(db), rows);
        let writing = open_at(path).unwrap();
        writing.write(|c| insert(c, "c")).unwrap();
        let stale = db.read(|c| Ok(c.query_row("select 1", [], |_| Ok(()))?));
        let text = format!("{:#}", anyhow::Error::from(stale.unwrap_err()));
        assert!(text.contains("restart this daemon"), "{text}");
        assert!(db.availability().reads.is_err());
        assert_eq!(names(&writing), [rows, &["c"]].concat());
        writing.availability().full().unwrap();
    }
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out mounts")]
fn what_cannot_be_read_as_it_is_on_a_read_only_file_system_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), 16 << 20).unwrap();
    let [path, ..] = databases(folder.path());
    let torn = folder.path().join("torn.db");
    fs::copy(&path, &torn).unwrap();
    // A journal of one page, as a crash leaves it: its header is whole.
    let mut journal = vec![0; 512];
    journal[..12].copy_from_slice(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7\0\0\0\x01");
    fs::write(beside(&torn, "-journal"), journal).unwrap();
    fs::write(folder.path().join(".missing.db.test"), "").unwrap();
    disk.set_read_only(true).unwrap();
    let error = |path: &Path, component: &str, migrations: &[&str]| {
        let opened = Sqlite::open(path, Synchronous::Normal, component, migrations);
        format!("{:#}", anyhow::Error::from(opened.unwrap_err()))
    };
    let text = error(&path, "test", &[TABLE, "create table u (id)"]);
    assert!(text.contains("mount that writable once"), "{text}");
    assert!(
        text.contains("tables of test are at version 1 of 2"),
        "{text}"
    );
    let text = error(&path, "test", &[]);
    assert!(text.contains("this program knows 0 at most"), "{text}");
    let text = error(&path, "other", &[TABLE]);
    assert!(text.contains("mount that writable once"), "{text}");
    let text = error(&torn, "test", &[TABLE]);
    assert!(text.contains("mount that writable once"), "{text}");
    let text = error(&folder.path().join("missing.db"), "test", &[TABLE]);
    assert!(text.contains("is missing or empty"), "{text}");
    let text = error(&folder.path().join("none.db"), "test", &[TABLE]);
    assert!(text.contains("Read-only file system"), "{text}");
}
