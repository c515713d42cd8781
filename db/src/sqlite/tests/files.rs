//! Files that are lost, moved, replaced or damaged.

use std::io::{Seek, Write};
use std::process::Command;
use std::thread;

use super::*;

fn path_in(folder: &TempDir) -> PathBuf {
    folder.path().join("new/folders/test.db")
}

/// Moves what a shell's `test.db*` names.
fn move_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        if name.to_str().unwrap().starts_with("test.db") {
            fs::rename(from.join(&name), to.join(&name)).unwrap();
        }
    }
}

fn wait_for(db: &Sqlite, is_there: impl Fn(&Availability) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_there(&db.availability()) {
        assert!(Instant::now() < deadline, "{:?}", db.availability());
        thread::yield_now();
    }
}

#[test]
fn files_that_were_moved_take_no_writes_until_they_are_back() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    db.write(|c| insert(c, "a")).unwrap();
    assert_eq!(names(&db), ["a"]);
    let (here, away) = (
        folder.path().join("new/folders"),
        folder.path().join("away"),
    );
    move_all(&here, &away);
    let refused = db.write(|c| insert(c, "lost")).unwrap_err();
    assert!(matches!(refused, DbError::Moved { .. }), "{refused:?}");
    assert!(db.availability().writes.is_err());
    // What is open is read on.
    assert_eq!(names(&db), ["a"]);
    // Another database in its place is not ours.
    Connection::open(path_in(&folder))
        .unwrap()
        .execute_batch(TABLE)
        .unwrap();
    assert!(db.write(|c| insert(c, "lost")).is_err());
    fs::remove_file(path_in(&folder)).unwrap();
    move_all(&away, &here);
    wait_for(&db, |found| found.full().is_ok());
    db.write(|c| insert(c, "b")).unwrap();
    assert_eq!(names(&db), ["a", "b"]);
}

#[test]
fn a_daemon_that_writes_nothing_notices_that_a_file_is_gone() {
    for suffix in ["", "-wal", "-shm"] {
        let is_noticed_by_the_monitor = || {
            let folder = tempfile::tempdir().unwrap();
            let db = open(&folder);
            wait_for(&db, |found| found.full().is_ok());
            fs::remove_file(beside(&path_in(&folder), suffix)).unwrap();
            wait_for(&db, |found| {
                matches!(found.writes, Err(DbError::Moved { .. }))
            });
            // A read that fails finds it, too, if one runs just when the file goes.
            db.availability().reads.is_ok()
        };
        assert!((0..10).any(|_| is_noticed_by_the_monitor()), "{suffix}");
    }
}

#[test]
fn rows_that_went_to_a_removed_file_are_not_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    let path = path_in(&folder);
    let written = db.write(move |c| {
        let row = insert(c, "a");
        fs::remove_file(&path).unwrap();
        row
    });
    assert!(
        matches!(written, Err(DbError::UnknownOutcome { .. })),
        "{written:?}"
    );
}

#[test]
fn a_lost_database_is_not_made_anew_unless_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_in(&folder);
    let try_open = || Sqlite::open(&path, Synchronous::Normal, "test", &[TABLE]);
    open(&folder).close();
    let is_lost = |what: &str| {
        let error = try_open().unwrap_err();
        assert!(matches!(error, DbError::Lost { .. }), "{error:?}");
        let text = format!("{:#}", anyhow::Error::from(error));
        for part in [what, "test.db", "tnv-test --config FILE --init-database"] {
            assert!(text.contains(part), "{text}");
        }
    };
    fs::remove_file(&path).unwrap();
    is_lost("is missing or empty");
    assert!(!path.exists());
    fs::write(&path, "").unwrap();
    is_lost("is missing or empty");
    // Another component's tables are not this one's.
    fs::remove_file(&path).unwrap();
    Sqlite::open(&path, Synchronous::Normal, "other", &[])
        .unwrap()
        .close();
    is_lost("has no tables");
    let made = Sqlite::init(&path, "test", &[TABLE]).unwrap();
    assert_eq!(made, ["tables of test brought from version 0 to 1"]);
    try_open().unwrap().close();
}

#[test]
fn what_else_tells_of_rows_counts_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sub/test.db");
    let open = |evidence: Option<&str>| {
        let evidence = evidence.map(str::to_owned);
        Sqlite::open_known(&path, Synchronous::Normal, "test", &[TABLE], evidence)
    };
    let lost = open(Some("/files are there")).unwrap_err();
    assert!(matches!(lost, DbError::Lost { .. }), "{lost:?}");
    assert!(!path.parent().unwrap().exists());
    open(None).unwrap().close();
    open(Some("/files are there")).unwrap().close();
}

/// Writes over the first page, and cuts the log off that has a copy of it.
fn damage(path: &Path) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.rewind().unwrap();
    file.write_all(&[0x5a; 4096]).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(beside(path, "-wal"))
        .unwrap();
}

#[test]
fn a_damaged_database_takes_no_writes_until_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    db.write(|c| insert(c, "a")).unwrap();
    damage(&path_in(&folder));
    // The first write finds out by itself.
    let refused = db.write(|c| insert(c, "lost")).unwrap_err();
    assert!(matches!(refused, DbError::Damaged { .. }), "{refused:?}");
    wait_for(&db, |found| {
        matches!(found.writes, Err(DbError::Damaged { .. }))
    });
    let refused = db.write(|c| insert(c, "lost")).unwrap_err();
    assert!(matches!(refused, DbError::Damaged { .. }), "{refused:?}");
    assert!(refused.is_unavailable());
    db.close();
    let error = Sqlite::open(&path_in(&folder), Synchronous::Full, "test", &[TABLE]);
    assert!(matches!(error, Err(DbError::Damaged { .. })), "{error:?}");
}

#[test]
fn a_write_that_meets_damage_takes_its_whole_batch_along() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    let (release, held) = hold(&db);
    let good = db.writer.submit(|c| insert(c, "a")).unwrap();
    let damaged = db
        .writer
        .submit(|_| -> Result<(), DbError> {
            let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            Err(rusqlite::Error::SqliteFailure(corrupt, None).into())
        })
        .unwrap();
    drop(release);
    held.wait().unwrap();
    assert!(matches!(damaged.wait(), Err(DbError::Damaged { .. })));
    assert!(matches!(good.wait(), Err(DbError::Damaged { .. })));
    assert_eq!(names(&db), Vec::<String>::new());
    let later = db.write(|c| insert(c, "b"));
    assert!(matches!(later, Err(DbError::Damaged { .. })), "{later:?}");
    assert!(db.availability().reads.is_ok());
}

#[test]
fn a_value_that_a_column_refuses_is_no_outage() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    let error = db
        .write(|c| Ok(c.execute("insert into t (id) values ('no number')", [])?))
        .unwrap_err();
    assert!(matches!(error, DbError::Unfit { .. }), "{error:?}");
    db.availability().full().unwrap();
}

const CRAMPED: &str = "TNV_TEST_CRAMPED_DATABASE";

/// Not a test by itself: a process whose files cannot grow.
#[test]
fn cramped_process() {
    let Some(path) = std::env::var_os(CRAMPED) else {
        return;
    };
    let db = Sqlite::open(Path::new(&path), Synchronous::Full, "test", &[TABLE]).unwrap();
    let found = db.availability();
    assert!(found.reads.is_ok() && found.writes.is_err(), "{found:?}");
    assert_eq!(names(&db).len(), 20);
}

#[test]
fn a_database_without_room_is_opened_and_known_to_take_no_writes() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    for n in 0..20 {
        let name = format!("{n}{}", "x".repeat(8192));
        db.write(move |c| insert(c, &name)).unwrap();
    }
    // Room for the index of the log, and none behind the rows in the log.
    let opened = Command::new("bash")
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "-"])
        .arg(std::env::current_exe().unwrap())
        .args(["sqlite::tests::files::cramped_process", "--nocapture"])
        .env(CRAMPED, path_in(&folder))
        .output()
        .unwrap();
    assert!(opened.status.success(), "{opened:?}");
    let said = String::from_utf8_lossy(&opened.stdout);
    assert!(said.contains("1 passed"), "{said}");
    // It is full for that process only.
    db.write(|c| insert(c, "more")).unwrap();
}
