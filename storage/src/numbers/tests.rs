use std::net::TcpListener;

use client::{ConnectionConfig, ConnectionPool, PoolConfig};

use super::*;

#[test]
fn an_idserver_that_is_late_once_keeps_no_upload_away() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connection = ConnectionConfig {
        io_timeout: Duration::from_millis(100),
        ..ConnectionConfig::default()
    };
    let pools = Arc::new(ConnectionPool::new(connection, PoolConfig::default()));
    let numbers = Numbers::new(IdClient::new(vec![address.into()], pools));
    numbers.probe();
    assert_eq!(numbers.shortage([]), None);
    numbers.probe();
    let why = numbers.shortage([]).unwrap();
    assert!(why.contains("timed out"), "{why}");
    // One that refuses says so at once.
    drop(listener);
    numbers.probe();
    let why = numbers.shortage([]).unwrap();
    assert!(why.contains("cannot connect"), "{why}");
}

#[test]
fn numbers_left_count_for_the_store_path_that_has_them() {
    let dead: Address = "127.0.0.9:1".parse().unwrap();
    let pools = ConnectionPool::new(ConnectionConfig::default(), PoolConfig::default());
    let numbers = Numbers::new(IdClient::new(vec![dead], Arc::new(pools)));
    let [full, taking]: [IdKey; 2] = ["/full", "/taking"].map(|key| key.parse().unwrap());
    assert_eq!(numbers.shortage([&full, &taking]), None);
    numbers.numbers_of(&full).state.lock().batch = Batch::new(1..3, Instant::now());
    for may_ask in [true, false] {
        let no_number = numbers.next(&taking, may_ask).unwrap_err();
        assert_eq!(no_number.fault.code, ErrorCode::Unavailable);
    }
    assert_eq!(numbers.shortage([&full, &taking]), None);
    let why = numbers.shortage([&taking]).unwrap();
    assert!(why.contains("127.0.0.9:1"), "{why}");
    assert_eq!(numbers.next(&full, false).unwrap(), 1);
}
