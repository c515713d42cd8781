use std::time::Instant;

use rusqlite::OptionalExtension;
use tempfile::TempDir;

use super::*;

mod files;
mod for_reads;
mod locks;
mod read_only;

const TABLE: &str = "create table t (id integer primary key, name text unique) strict";

fn open(folder: &TempDir) -> Sqlite {
    let path = folder.path().join("new/folders/test.db");
    Sqlite::open(&path, Synchronous::Normal, "test", &[TABLE]).unwrap()
}

fn insert(connection: &Connection, name: &str) -> Result<i64, DbError> {
    connection
        .prepare_cached("insert into t (name) values (?1)")?
        .execute([name])?;
    Ok(connection.last_insert_rowid())
}

fn names(db: &Sqlite) -> Vec<String> {
    db.read(|connection| {
        let mut statement = connection.prepare_cached("select name from t order by name")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    })
    .unwrap()
}

/// Keeps the writer busy until the sender is dropped, so that jobs gather behind it.
fn hold(db: &Sqlite) -> (Sender, super::job::PendingWrite<()>) {
    let (release, wait) = crossbeam_channel::bounded::<()>(0);
    let (began, begun) = crossbeam_channel::bounded(1);
    let pending = db.writer.submit(move |_| {
        began.send(()).unwrap();
        assert!(wait.recv().is_err());
        Ok(())
    });
    begun.recv().unwrap();
    (release, pending.unwrap())
}

type Sender = crossbeam_channel::Sender<()>;

#[test]
fn what_is_written_is_read_also_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    assert_eq!(db.write(|c| insert(c, "a")).unwrap(), 1);
    assert_eq!(names(&db), ["a"]);
    db.close();
    let db = open(&folder);
    assert_eq!(db.write(|c| insert(c, "b")).unwrap(), 2);
    assert_eq!(names(&db), ["a", "b"]);
}

#[test]
fn connections_are_set_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("full.db");
    let db = Sqlite::open(&path, Synchronous::Full, "test", &[]).unwrap();
    let pragmas = |c: &Connection| {
        let text = |name| c.pragma_query_value(None, name, |row| row.get::<_, String>(0));
        let number = |name| c.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        Ok((
            text("journal_mode")?,
            number("synchronous")?,
            number("foreign_keys")?,
            number("busy_timeout")?,
        ))
    };
    let expected = ("wal".to_owned(), 2, 0, 10_000);
    assert_eq!(db.write(pragmas).unwrap(), expected);
    assert_eq!(db.read(pragmas).unwrap().0, "wal");
    let refused = db.read(|c| insert(c, "a"));
    assert!(refused.is_err(), "a reader wrote");
}

#[test]
fn waiting_writes_share_commits() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    let (release, held) = hold(&db);
    let pending: Vec<_> = (0..200)
        .map(|n| db.writer.submit(move |c| insert(c, &n.to_string())))
        .collect();
    drop(release);
    held.wait().unwrap();
    for job in pending {
        job.unwrap().wait().unwrap();
    }
    assert_eq!(names(&db).len(), 200);
    // The held one, then 64 + 64 + 64 + 8.
    assert_eq!(db.commits(), 5);
}

#[test]
fn many_threads_write_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let db = &db;
            scope.spawn(move || {
                for n in 0..50 {
                    db.write(move |c| insert(c, &format!("{thread}/{n}")))
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(names(&db).len(), 400);
    assert!(db.commits() <= 400);
}

#[test]
fn a_failing_job_disturbs_no_neighbour() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    let (release, held) = hold(&db);
    let good = db.writer.submit(|c| insert(c, "a")).unwrap();
    let conflict = db
        .writer
        .submit(|c| {
            insert(c, "half done")?;
            insert(c, "a")
        })
        .unwrap();
    let panic = db
        .writer
        .submit(|c| -> Result<(), DbError> {
            insert(c, "lost")?;
            panic!("on purpose")
        })
        .unwrap();
    let broken = db
        .writer
        .submit(|c| Ok(c.execute("insert nonsense", [])?))
        .unwrap();
    let last = db.writer.submit(|c| insert(c, "z")).unwrap();
    drop(release);
    held.wait().unwrap();
    good.wait().unwrap();
    assert!(conflict.wait().unwrap_err().is_conflict());
    assert!(matches!(panic.wait(), Err(DbError::Panicked)));
    assert!(matches!(broken.wait(), Err(DbError::Other { .. })));
    last.wait().unwrap();
    assert_eq!(names(&db), ["a", "z"]);
    assert_eq!(db.commits(), 2);
}

#[test]
fn a_primary_key_taken_twice_is_a_conflict_too() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    let insert = |c: &Connection| Ok(c.execute("insert into t (id) values (7)", [])?);
    db.write(insert).unwrap();
    assert!(db.write(insert).unwrap_err().is_conflict());
}

#[test]
fn a_full_database_is_unavailable_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    let limit = |pages: u32| {
        db.write(move |c| Ok(c.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?))
    };
    limit(16).unwrap();
    let error = db.write(|c| insert(c, &"x".repeat(1 << 20))).unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    limit(1 << 20).unwrap();
    db.write(|c| insert(c, "a")).unwrap();
    assert_eq!(names(&db), ["a"]);
}

#[test]
fn a_database_that_cannot_be_written_says_so_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    db.availability().full().unwrap();
    let fail = |error: fn() -> DbError| db.write(move |_| Err::<(), _>(error())).unwrap_err();
    // What is wrong with one row says nothing of the database.
    let conflict = || DbError::Conflict {
        source: Arc::new(std::io::Error::other("taken")),
    };
    assert!(fail(conflict).is_conflict());
    db.availability().full().unwrap();
    // No look comes between while the writer is held.
    let (release, _) = hold(&db);
    let full = DbError::TimedOut { what: "writing" };
    db.shared
        .outcomes
        .note_write(Err::<(), _>(full))
        .unwrap_err();
    assert_eq!(names(&db), Vec::<String>::new());
    assert!(db.availability().reads.is_ok());
    assert!(db.availability().writes.unwrap_err().is_unavailable());
    drop(release);
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = db.availability().full() {
        assert!(Instant::now() < deadline, "{error:?}");
        std::thread::yield_now();
    }
    assert_eq!(names(&db), Vec::<String>::new());
}

#[test]
fn a_job_that_ends_the_transaction_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    assert!(db.write(|c| Ok(c.execute_batch("rollback")?)).is_err());
    db.write(|c| insert(c, "a")).unwrap();
}

#[test]
fn closing_finishes_what_waits_and_refuses_what_comes() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    let (release, held) = hold(&db);
    let waiting = db.writer.submit(|c| insert(c, "a")).unwrap();
    drop(release);
    db.close();
    db.close();
    held.wait().unwrap();
    waiting.wait().unwrap();
    assert!(matches!(db.write(|c| insert(c, "b")), Err(DbError::Closed)));
    assert!(matches!(db.read(|_| Ok(())), Err(DbError::Closed)));
    let log = folder.path().join("new/folders/test.db-wal");
    assert!(!log.exists(), "the last connection was not closed");
}

#[test]
fn closing_leaves_a_write_behind_that_does_not_end() {
    let folder = tempfile::tempdir().unwrap();
    let db = Arc::new(open(&folder));
    let (release, held) = hold(&db);
    let (closed, is_closed) = crossbeam_channel::bounded(1);
    let closing = Arc::clone(&db);
    std::thread::spawn(move || {
        closing.close();
        closed.send(()).unwrap();
    });
    let is_closed = is_closed.recv_timeout(CLOSE_TIME + Duration::from_secs(30));
    drop(release);
    is_closed.unwrap();
    held.wait().unwrap();
}

#[test]
fn readers_are_bounded_and_survive_panics() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    for _ in 0..20 {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            db.read(|_| -> Result<(), DbError> { panic!("on purpose") })
        }));
        assert!(panic.is_err());
    }
    let (most, now) = (parking_lot::Mutex::new(0), parking_lot::Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                for _ in 0..20 {
                    db.read(|_| {
                        let running = {
                            let mut now = now.lock();
                            *now += 1;
                            *now
                        };
                        std::thread::yield_now();
                        let mut most = most.lock();
                        *most = running.max(*most);
                        *now.lock() -= 1;
                        Ok(())
                    })
                    .unwrap();
                }
            });
        }
    });
    assert!((1..=8).contains(&*most.lock()));
}

#[test]
fn migrations_run_once_and_per_component() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    let open = |component: &str, migrations: &[&str]| {
        Sqlite::open(&path, Synchronous::Normal, component, migrations)
    };
    open("a", &[TABLE]).unwrap().close();
    let second = "insert into t (name) values ('second')";
    open("a", &[TABLE, second]).unwrap().close();
    let db = open("a", &[TABLE, second]).unwrap();
    assert_eq!(names(&db), ["second"]);
    open("b", &["create table b (x)"]).unwrap().close();
    let versions = db.read(|c| {
        let sql = "select group_concat(component || version) from tnv_schema";
        Ok(c.query_row(sql, [], |row| row.get::<_, String>(0))
            .optional()?)
    });
    assert_eq!(versions.unwrap().as_deref(), Some("a2,b1"));
    let newer = open("a", &[TABLE]).unwrap_err();
    assert!(matches!(
        newer,
        DbError::SchemaTooNew {
            found: 2,
            known: 1,
            ..
        }
    ));
}

#[test]
fn a_failing_migration_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    let broken = [TABLE, "create table broken ("];
    assert!(Sqlite::open(&path, Synchronous::Normal, "a", &broken).is_err());
    Sqlite::open(&path, Synchronous::Normal, "a", &[TABLE]).unwrap();
}

#[test]
fn a_database_that_cannot_be_opened_says_so() {
    let error = Sqlite::open(Path::new("/proc/no/a.db"), Synchronous::Full, "a", &[]);
    assert!(error.unwrap_err().is_unavailable());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    fs::write(&path, "this is no database, and long enough to be checked").unwrap();
    let error = Sqlite::open(&path, Synchronous::Full, "a", &[]).unwrap_err();
    assert!(matches!(error, DbError::Damaged { .. }), "{error:?}");
}

#[test]
fn a_database_that_nobody_writes_to_is_found_out_to_take_no_writes() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    let other = Connection::open(folder.path().join("new/folders/test.db")).unwrap();
    other.execute_batch("begin immediate").unwrap();
    let wait = |is_well: bool| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while db.availability().writes.is_ok() != is_well {
            assert!(Instant::now() < deadline, "{:?}", db.availability());
            std::thread::yield_now();
        }
    };
    wait(false);
    db.availability().reads.unwrap();
    other.execute_batch("rollback").unwrap();
    wait(true);
}
