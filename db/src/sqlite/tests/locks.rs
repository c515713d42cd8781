//! Several writers of one file: each has its turn, and none is waited for without end.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::super::fair_lock::LOCK_TIMEOUT;
use super::*;

const DATABASE: &str = "TNV_TEST_DATABASE";
const WRITERS: u64 = 4;

/// The lock files as another process has them open: locks are the open file's, not the process's.
fn other_process(folder: &TempDir) -> FairLock {
    FairLock::open(&folder.path().join("new/folders/test.db")).unwrap()
}

#[test]
fn a_writer_that_stands_still_in_its_turn_costs_others_one_time_out() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    let other = other_process(&folder);
    let turn = other.acquire(&Stop::new()).unwrap();
    let began = Instant::now();
    // The first waits for the lock, and the others behind it, but not as long once more.
    let errors = thread::scope(|scope| {
        let writes = [0; 3].map(|_| scope.spawn(|| db.write(|c| insert(c, "a")).unwrap_err()));
        writes.map(|write| write.join().unwrap())
    });
    let waited = began.elapsed();
    assert!(
        (LOCK_TIMEOUT..2 * LOCK_TIMEOUT).contains(&waited),
        "{waited:?}"
    );
    for error in errors {
        assert!(error.is_unavailable(), "{error:?}");
        assert!(error_text(&error).contains("test.db.lock"), "{error:?}");
    }
    assert!(db.availability().reads.is_ok() && db.availability().writes.is_err());
    assert_eq!(names(&db), Vec::<String>::new());
    drop(turn);
    db.write(|c| insert(c, "b")).unwrap();
    assert_eq!(names(&db), ["b"]);
    // Nothing is left locked by the wait that was given up.
    drop(other.acquire(&Stop::new()).unwrap());
}

#[test]
fn a_stop_does_not_wait_for_a_writer_that_stands_still() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder);
    let other = other_process(&folder);
    let turn = other.acquire(&Stop::new()).unwrap();
    thread::scope(|scope| {
        let writes = [0; 3].map(|_| scope.spawn(|| db.write(|c| insert(c, "a"))));
        // The first has been taken from the queue, and the others wait behind it.
        let deadline = Instant::now() + Duration::from_secs(30);
        while db.writer.n_waiting() != 2 && Instant::now() < deadline {
            thread::yield_now();
        }
        let began = Instant::now();
        db.close();
        for write in writes {
            assert!(write.join().unwrap().unwrap_err().is_unavailable());
        }
        let waited = began.elapsed();
        assert!(waited < LOCK_TIMEOUT, "{waited:?}");
    });
    drop(turn);
    assert_eq!(names(&open(&folder)), Vec::<String>::new());
}

fn error_text(error: &DbError) -> String {
    format!("{:#}", anyhow::Error::from(error.clone()))
}

/// Not a test by itself: one of the writer processes of the test below.
#[test]
fn writer_process() {
    let Some(path) = std::env::var_os(DATABASE) else {
        return;
    };
    let db = Sqlite::open(Path::new(&path), Synchronous::Full, "test", &[TABLE]).unwrap();
    println!("\nready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let end = Instant::now() + Duration::from_secs(1);
    let insert = |c: &Connection| Ok(c.execute("insert into t default values", [])?);
    let count = AtomicU64::new(0);
    // Some threads, so that the next write waits already when a commit ends.
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while Instant::now() < end {
                    db.write(insert).unwrap();
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    db.close();
    println!("\nwrote {}", count.into_inner());
}

fn start_writer(path: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "sqlite::tests::locks::writer_process",
            "--exact",
            "--nocapture",
        ])
        .env(DATABASE, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

/// The rest of the first line that begins with `start`.
fn wait_for(output: &mut BufReader<ChildStdout>, start: &str) -> String {
    let mut lines = output.lines().map(Result::unwrap);
    let found = lines.find_map(|line| line.strip_prefix(start).map(str::to_owned));
    found.unwrap_or_else(|| panic!("no line {start}"))
}

#[test]
fn no_writer_process_starves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared.db");
    let mut writers: Vec<_> = (0..WRITERS).map(|_| start_writer(&path)).collect();
    for (_, output) in &mut writers {
        wait_for(output, "ready");
    }
    for (child, _) in &mut writers {
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    let mut counts = Vec::new();
    for (child, output) in &mut writers {
        counts.push(wait_for(output, "wrote ").parse::<u64>().unwrap());
        assert!(child.wait().unwrap().success());
    }
    let total: u64 = counts.iter().sum();
    assert!(
        counts.iter().all(|n| n * 10 >= total / WRITERS),
        "{counts:?}"
    );
    let db = Sqlite::open(&path, Synchronous::Full, "test", &[TABLE]).unwrap();
    let rows =
        db.read(|c| Ok(c.query_row("select count(*) from t", [], |row| row.get::<_, i64>(0))?));
    assert_eq!(rows.unwrap(), total as i64);
    println!("rows by process: {counts:?}");
}
