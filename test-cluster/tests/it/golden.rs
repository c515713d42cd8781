//! The daemons answer the recorded requests of C++ programs like C++ servers, byte for byte.

use proto::HEAD_LEN;
use test_cluster::Role;
use test_peers::recorded::{Exchange, exchanges};
use test_peers::wire;

use crate::support::{Fixture, connect};

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
        check(&recorded, &wire::exchange(connection, &recorded.request));
    }
}

fn check(recorded: &Exchange, reply: &[u8]) {
    let (head, body) = (wire::head_of(reply), &reply[HEAD_LEN..]);
    let what = format!("{} {}", recorded.server, recorded.command);
    let response = &recorded.response;
    assert_eq!(head.command, response[8], "{what}");
    assert_eq!(
        head.is_ok(),
        recorded.ok,
        "{what}: {}",
        String::from_utf8_lossy(body)
    );
    if !recorded.ok {
        // The text differs, the form is that of C++: a number, `[host] reason`, a NUL.
        assert!(
            body.len() > 4 && body[2] == b'[' && body.ends_with(&[0]),
            "{what}"
        );
        return;
    }
    let expected = &response[HEAD_LEN..];
    match recorded.command.as_str() {
        // Members and numbers differ from the recording.
        "groups" => assert!(body.starts_with(b"         COUNT OF GROUPS: "), "{what}"),
        "saddrs" => assert_eq!(body[..17], expected[..17], "{what}: group"),
        "get-id" => assert_eq!(body.len(), expected.len(), "{what}"),
        _ => assert!(body == expected, "{what}: {body:?}"),
    }
}
