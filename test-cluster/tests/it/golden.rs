//! What C++ programs sent, byte for byte, is understood by our programs, and answered alike.

use std::io::{Read, Write};
use std::net::TcpStream;

use proto::{HEAD_LEN, Head};
use serde::Deserialize;
use test_cluster::Role;

use crate::support::{Fixture, connect};

#[derive(Deserialize)]
struct Exchange {
    server: String,
    command: String,
    ok: bool,
    request: String,
    response: String,
}

fn exchanges() -> Vec<Exchange> {
    serde_json::from_str(include_str!("../../../proto/tests/frames.json")).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

fn exchange(stream: &mut TcpStream, request: &[u8]) -> (Head, Vec<u8>) {
    stream.write_all(request).unwrap();
    let mut head = [0; HEAD_LEN];
    stream.read_exact(&mut head).unwrap();
    let head = Head::decode(&head);
    let mut body = vec![0; usize::try_from(head.body_len).unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

#[test]
fn recorded_requests_get_the_recorded_replies() {
    let fixture = Fixture::small(1);
    let stream = |role| connect(&fixture.nodes(role)[0]);
    let mut tracker = stream(Role::Tracker);
    let (mut idserver, mut storage) = (stream(Role::Idserver), stream(Role::Storage));
    for recorded in exchanges() {
        let connection = match recorded.server.as_str() {
            "tracker" => &mut tracker,
            "idserver" => &mut idserver,
            "storage" => &mut storage,
            other => panic!("no server is a {other}"),
        };
        let (head, body) = exchange(connection, &bytes(&recorded.request));
        check(&recorded, head, &body);
    }
}

fn check(recorded: &Exchange, head: Head, body: &[u8]) {
    let what = format!("{} {}", recorded.server, recorded.command);
    let response = bytes(&recorded.response);
    assert_eq!(head.command, response[8], "{what}");
    assert_eq!(
        head.is_ok(),
        recorded.ok,
        "{what}: {}",
        String::from_utf8_lossy(body)
    );
    if !recorded.ok {
        // The words are ours; their form is theirs: a number, `[host] why`, a NUL.
        assert!(
            body.len() > 4 && body[2] == b'[' && body.ends_with(&[0]),
            "{what}"
        );
        return;
    }
    let expected = &response[HEAD_LEN..];
    match recorded.command.as_str() {
        // Who is a member, and which number comes next, is another matter here.
        "groups" => assert!(body.starts_with(b"         COUNT OF GROUPS: "), "{what}"),
        "saddrs" => assert_eq!(body[..17], expected[..17], "{what}: group"),
        "get-id" => assert_eq!(body.len(), expected.len(), "{what}"),
        _ => assert!(body == expected, "{what}: {body:?}"),
    }
}
