//! On a MariaDB whose answers can be lost.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use db::DatabaseUrl;
use proto::FileKey;
use test_support::until;

use super::*;
use crate::db::mysql::SCHEMA;
use crate::db::tests::mysql::fresh;

/// Forwards connections to a server. Loses the connection on which `needle` is sent, once, after the
/// server has answered to that.
fn lose_one_answer(server: SocketAddr, needle: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let is_due = Arc::new(AtomicBool::new(true));
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(server).unwrap());
            forward(client, server, needle.clone(), &is_due);
        }
    });
    addr
}

fn forward(client: TcpStream, server: TcpStream, needle: String, is_due: &Arc<AtomicBool>) {
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

/// A row whose client leaves when it has been asked for so many times.
fn row(file: &str, questions: usize, store_path: &str) -> WantedRow {
    let key = FileKey {
        app: "tnvideo".parse().unwrap(),
        user: "tnv001".parse().unwrap(),
        file: file.parse().unwrap(),
    };
    let asked = AtomicUsize::new(0);
    WantedRow {
        row: NewRow {
            key,
            group: "group001".parse().unwrap(),
            path: format!("{store_path}/000/000/000/{file}"),
            size: 1,
            checksum: 1,
        },
        wanted: Arc::new(move || asked.fetch_add(1, Ordering::SeqCst) < questions),
    }
}

fn is_unknown(result: &Result<Change, DbError>) -> bool {
    matches!(result, Err(DbError::UnknownOutcome { .. }))
}

/// Inserts rows through a connection whose answer to the first row is lost. Tells the outcomes, and
/// how many rows have the file id of the first one then.
fn insert_with_a_loss(
    database: &str,
    rows: &[WantedRow],
) -> (Vec<Result<Change, DbError>>, String) {
    let server = test_mariadb::shared();
    let config = fresh(server, database);
    crate::db::init(&config).unwrap();
    let DatabaseUrl::Mysql(url) = &config.database else {
        panic!("no MySQL: {}", config.database);
    };
    let table = file_table(&rows[0].row.key.user);
    let direct = Mysql::open(url, &config.mysql, &SCHEMA).unwrap();
    until("the server is found", || {
        direct.availability().full().is_ok()
    });
    let taken =
        Inserter::default().insert_each(&direct, table, &[row("taken", usize::MAX, "/other")]);
    assert!(taken[0].is_ok(), "{taken:?}");
    direct.close();

    let id = rows[0].row.key.file.as_str();
    let mut url = url.clone();
    let server_addr = SocketAddr::from(([127, 0, 0, 1], url.hosts[0].port));
    url.hosts[0].port = lose_one_answer(server_addr, id.to_owned()).port();
    let lossy = Mysql::open(&url, &config.mysql, &SCHEMA).unwrap();
    until("the server is found", || {
        lossy.availability().full().is_ok()
    });
    let outcomes = Inserter::default().insert_each(&lossy, table, rows);
    lossy.close();
    let count = format!("SELECT count(*) FROM t_file_{table:02} WHERE id = '{id}'");
    (outcomes, server.query(database, &count).concat())
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_row_that_a_lost_try_has_made_is_never_taken_for_none() {
    for n_rows in [1, 2, 4] {
        // The client leaves after the lost try, and of several rows after the try that meets them.
        let questions = if n_rows == 1 { 1 } else { 2 };
        let mut rows = vec![row("left", questions, "/data")];
        rows.extend((1..n_rows).map(|n| row(&format!("waits{n}"), usize::MAX, "/data")));
        let (outcomes, n_made) = insert_with_a_loss(&format!("lost_{n_rows}"), &rows);
        assert_eq!(n_made, "1");
        assert!(is_unknown(&outcomes[0]), "{n_rows} rows: {outcomes:?}");
        for outcome in &outcomes[1..] {
            assert!(
                matches!(outcome, Ok(Change::Done)),
                "{n_rows} rows: {outcomes:?}"
            );
        }
    }
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn another_files_row_is_a_conflict_also_after_a_lost_try() {
    let rows = ["taken", "free"].map(|file| row(file, usize::MAX, "/data"));
    let (outcomes, _) = insert_with_a_loss("lost_taken", &rows);
    assert!(
        outcomes[0].as_ref().unwrap_err().is_conflict(),
        "{outcomes:?}"
    );
    assert!(matches!(outcomes[1], Ok(Change::Done)), "{outcomes:?}");
    let (outcomes, _) = insert_with_a_loss("lost_taken_alone", &rows[..1]);
    assert!(
        outcomes[0].as_ref().unwrap_err().is_conflict(),
        "{outcomes:?}"
    );
}
