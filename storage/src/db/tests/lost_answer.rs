//! A row whose connection is lost after the server has made it and before the answer has come.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use test_support::until;

use super::mysql::fresh;
use super::*;
use crate::db::mysql::MysqlFiles;

/// Forwards connections to a server. Loses the connection on which `needle` is sent, once, after the
/// server has answered to that.
fn lose_one_answer(server: SocketAddr, needle: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let is_due = Arc::new(AtomicBool::new(true));
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(server).unwrap());
            forward(client, server, needle, &is_due);
        }
    });
    addr
}

fn forward(client: TcpStream, server: TcpStream, needle: &'static str, is_due: &Arc<AtomicBool>) {
    let is_cut = Arc::new(AtomicBool::new(false));
    let (is_due, cuts) = (Arc::clone(is_due), Arc::clone(&is_cut));
    let up = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        pump(up, |bytes| {
            let is_met = bytes.windows(needle.len()).any(|w| w == needle.as_bytes());
            if is_met && is_due.swap(false, Ordering::SeqCst) {
                cuts.store(true, Ordering::SeqCst);
            }
            true
        });
    });
    thread::spawn(move || pump((server, client), |_| !is_cut.load(Ordering::SeqCst)));
}

/// Copies until an end, or until `passes` refuses what has come; then closes both.
fn pump((mut from, mut to): (TcpStream, TcpStream), passes: impl Fn(&[u8]) -> bool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        if !passes(&buffer[..len]) || to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// Makes a row of the file "new" through a connection that is lost before the answer comes, for a client
/// that leaves when it has been asked for so many times. `other` is a row that was there before.
fn insert_with_a_loss(database: &str, questions: usize, other: Option<NewRow>) -> Outcome {
    let server = test_mariadb::shared();
    let config = fresh(server, database);
    init(&config).unwrap();
    let direct = open(&config).unwrap();
    until("the server is found", || {
        direct.availability().full().is_ok()
    });
    if let Some(other) = other {
        insert(&*direct, other).unwrap();
    }
    let DatabaseUrl::Mysql(mut url) = config.database.clone() else {
        panic!("no MySQL: {}", config.database);
    };
    let addr = SocketAddr::from(([127, 0, 0, 1], url.hosts[0].port));
    url.hosts[0].port = lose_one_answer(addr, NEW_PATH).port();
    let lossy = MysqlFiles::open(&url, &config.mysql).unwrap();
    until("the server is found", || {
        lossy.availability().full().is_ok()
    });
    let row = NewRow {
        path: NEW_PATH.to_owned(),
        ..new_row(key("tnv001", "new"))
    };
    let asked = AtomicUsize::new(0);
    let wanted = move || asked.fetch_add(1, Ordering::SeqCst) < questions;
    let result = lossy.insert(row, Arc::new(wanted));
    lossy.close();
    let made = direct.find(&key("tnv001", "new")).unwrap();
    direct.close();
    Outcome {
        result,
        path: made.map(|row| row.path),
    }
}

const NEW_PATH: &str = "../data/000/000/001/5F9E3FA7_001";

#[derive(Debug)]
struct Outcome {
    result: Result<Change, DbError>,
    /// Of the row of the file "new" in the end.
    path: Option<String>,
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_row_whose_answer_was_lost_is_never_taken_for_none() {
    let waits = insert_with_a_loss("lost_waits", usize::MAX, None);
    assert!(matches!(waits.result, Ok(Change::Done)), "{waits:?}");
    assert_eq!(waits.path.as_deref(), Some(NEW_PATH));
    let left = insert_with_a_loss("lost_left", 1, None);
    let is_unknown = matches!(left.result, Err(DbError::UnknownOutcome { .. }));
    assert!(is_unknown, "{left:?}");
    assert_eq!(
        left.path.as_deref(),
        Some(NEW_PATH),
        "the server has made it"
    );
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn another_files_row_is_a_conflict_also_after_a_lost_answer() {
    let other = new_row(key("tnv001", "new"));
    let other_path = other.path.clone();
    let taken = insert_with_a_loss("lost_taken", usize::MAX, Some(other));
    let is_conflict = matches!(taken.result, Err(DbError::Conflict { .. }));
    assert!(is_conflict, "{taken:?}");
    assert_eq!(taken.path, Some(other_path));
}
