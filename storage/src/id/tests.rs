use std::net::TcpListener;
use std::time::Duration;

use client::{ConnectionConfig, PoolConfig, PoolManager};

use super::*;

#[test]
fn an_idserver_that_is_late_once_keeps_no_upload_away() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connection = ConnectionConfig {
        io_timeout: Duration::from_millis(100),
        ..ConnectionConfig::default()
    };
    let pools = Arc::new(PoolManager::new(connection, PoolConfig::default()));
    let numbers = Numbers::new(IdClient::new(vec![address.into()], pools));
    numbers.probe();
    assert_eq!(numbers.lack(), None);
    numbers.probe();
    let why = numbers.lack().unwrap();
    assert!(why.contains("timed out"), "{why}");
    // One that refuses says so at once.
    drop(listener);
    numbers.probe();
    let why = numbers.lack().unwrap();
    assert!(why.contains("cannot connect"), "{why}");
}
