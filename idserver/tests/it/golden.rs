//! The exchange recorded from the C++ programs, against a running idserver.

use serde_json::Value;

use super::support::*;

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
        .collect()
}

#[test]
fn the_recorded_exchange_is_answered_alike() {
    let frames = include_str!("../../../proto/tests/frames.json");
    let frames: Vec<Value> = serde_json::from_str(frames).unwrap();
    let recorded = frames.iter().find(|frame| frame["command"] == "get-id");
    let recorded = recorded.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let idserver = start(config(&folder.path().join("ids.db")));
    let mut client = Client::connect(idserver.addr());
    // It was the second request for the key.
    assert_eq!(client.get_id("../data"), Ok(0));
    let reply = client.exchange(&bytes(&recorded["request"]));
    assert_eq!(reply, bytes(&recorded["response"]));
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
