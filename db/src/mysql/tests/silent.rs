//! A server that accepts connections and says nothing.

use std::net::{TcpListener, TcpStream};

use super::*;
use crate::CLOSE_TIME;

/// Longer than the test waits for anything.
const SILENCE: Duration = Duration::from_secs(300);

/// A database at a server whose greeting never comes, and the monitor's connection to it.
fn watched_in_vain() -> (Mysql, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = MysqlConfig {
        connect_timeout: Period::from_secs(SILENCE.as_secs()),
        ..MysqlConfig::default()
    };
    let url = url(&format!("mysql://u@127.0.0.1:{port}/silent"));
    let mysql = Mysql::open(&url, &config, &SCHEMA).unwrap();
    let (stream, _) = listener.accept().unwrap();
    (mysql, stream)
}

#[test]
fn a_stop_leaves_a_watcher_behind_whose_server_is_silent() {
    let (mysql, stream) = watched_in_vain();
    let began = Instant::now();
    mysql.close();
    let took = began.elapsed();
    assert!(took >= CLOSE_TIME, "nothing held the monitor: {took:?}");
    assert!(took < SILENCE / 2, "{took:?}");
    assert!(matches!(count(&mysql), Err(DbError::Closed)));
    // The monitor ends when its server does, and a second close finds nothing to wait for.
    drop(stream);
    mysql.close();
}

#[test]
fn a_stop_ends_the_watcher_of_a_server_that_goes_away() {
    let (mysql, stream) = watched_in_vain();
    drop(stream);
    wait_until(&mysql, |found| {
        matches!(found.reads, Err(DbError::Away { .. }))
    });
    let began = Instant::now();
    mysql.close();
    assert!(began.elapsed() < SILENCE / 2);
}
