//! The exchange recorded from the C++ programs, against a running idserver.

use test_peers::recorded::exchange;

use super::support::*;

#[test]
fn the_recorded_exchange_is_answered_alike() {
    let recorded = exchange("idserver", "get-id", true);
    let folder = tempfile::tempdir().unwrap();
    let idserver = start(config(&folder.path().join("ids.db")));
    let mut client = Client::connect(idserver.addr());
    // It was the second request for the key.
    assert_eq!(client.get_id("../data"), Ok(0));
    let reply = client.exchange(&recorded.request);
    assert_eq!(reply, recorded.response);
    idserver.shutdown();
}

#[test]
fn nonsense_is_refused_in_the_form_of_the_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let idserver = start(config(&folder.path().join("ids.db")));
    // A key without its NUL; the connection goes on.
    let mut client = Client::connect(idserver.addr());
    let reply = client.exchange(b"\0\0\0\0\0\0\0\x03\x28\0abc");
    assert_eq!(&reply[8..10], [101, 0xFD]);
    // -1 as of the C++ server, for which a number of another kind would be a value; then ours.
    assert_eq!(reply[10..12], [0xff, 0xff]);
    assert_eq!(&reply[12..], b"[vm] id key is not terminated\0kind\0\x01");
    assert_eq!(client.get_id("abc"), Ok(0));
    // A command of another kind of server.
    let reply = client.exchange(b"\0\0\0\0\0\0\0\0\x0d\0");
    assert_eq!(&reply[12..], b"[vm] unknown command: 13\0kind\0\x01");
    idserver.shutdown();
}
