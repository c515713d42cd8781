//! The exchanges recorded from the C++ programs, against a running tracker.

use test_peers::recorded::exchange;

use super::support::*;

/// Request and response, recorded.
fn recorded(command: &str, ok: bool) -> (Vec<u8>, Vec<u8>) {
    let exchange = exchange("tracker", command, ok);
    (exchange.request, exchange.response)
}

/// Label with its place, and value, of each line.
fn lines(reply: &[u8]) -> Vec<(&str, &str)> {
    let text = std::str::from_utf8(&reply[10..]).unwrap();
    text.split('\n')
        .map(|line| line.split_once(": ").unwrap())
        .collect()
}

fn assert_same_list(ours: &[u8], theirs: &[u8]) {
    assert_eq!(ours[8..10], theirs[8..10]);
    let (ours, theirs) = (lines(ours), lines(theirs));
    assert_eq!(ours.len(), theirs.len());
    for ((label, our), (their_label, their)) in ours.into_iter().zip(theirs) {
        assert_eq!(label, their_label);
        if label.ends_with("TIME") {
            // "Sat Nov 21 20:41:42 2026": the digits differ, by zone or because it is later now.
            let shape = |text: &str| {
                let shape = |c: char| if c.is_ascii_digit() { '0' } else { c };
                text[7..]
                    .chars()
                    .map(shape)
                    .collect::<String>()
                    .replace("  ", " 0")
            };
            assert_eq!(shape(our), shape(their), "{label}");
        } else {
            assert_eq!(our, their, "{label}");
        }
    }
}

#[test]
fn the_recorded_exchanges_are_answered_alike() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(&folder.path().join("tracker.db")));
    let mut storage = Client::connect(tracker.addr(), 1);
    for command in ["join", "beat"] {
        let (request, response) = recorded(command, true);
        assert_eq!(storage.exchange(&request), response, "{command}");
    }
    let mut client = Client::connect(tracker.addr(), 2);
    let (request, response) = recorded("groups", true);
    assert_same_list(&client.exchange(&request), &response);
    // With junk in its fields, and the address that the storage joined from.
    let (request, response) = recorded("saddrs", true);
    assert_eq!(client.exchange(&request), response);
    let (request, response) = recorded("saddrs", false);
    let reply = client.exchange(&request);
    // Theirs says -1 for every error; ours says which.
    assert_eq!(reply[10..12], [0, 1]);
    assert_eq!(
        (&reply[..10], &reply[12..]),
        (&response[..10], &response[12..])
    );
    tracker.shutdown();
}

#[test]
fn junk_behind_the_text_of_a_field_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(&folder.path().join("tracker.db")));
    let mut storage = Client::connect(tracker.addr(), 2);
    let with_junk = |command| {
        let (mut request, response) = recorded(command, true);
        let (group, hostname) = if command == "join" {
            (17, 34)
        } else {
            (10, 27)
        };
        request[group + "group001".len() + 1..group + 16].fill(0xFF);
        request[hostname + "vm".len() + 1..hostname + 129].fill(0xC3);
        (request, response)
    };
    for command in ["join", "beat"] {
        let (request, response) = with_junk(command);
        assert_eq!(storage.exchange(&request), response, "{command}");
    }
    assert_eq!(storage.groups()[0].storages[0].status, "ACTIVE");
    tracker.shutdown();
}

#[test]
fn nonsense_is_refused_in_the_form_of_the_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(&folder.path().join("tracker.db")));
    let mut client = Client::connect(tracker.addr(), 1);
    // Not one NUL in 400 bytes: this kills a C++ tracker.
    let mut request = b"\0\0\0\0\0\0\x01\x90\x0c\0".to_vec();
    request.resize(410, b'a');
    let reply = client.exchange(&request);
    assert_eq!(reply[8..12], [100, 0xFD, 0, 1]);
    assert_eq!(&reply[12..], b"[vm] appid is not terminated\0");
    assert_eq!(client.groups(), []);
    // A length that no command has ends the connection.
    let reply = client.exchange(b"\0\0\0\0\0\0\0\x01\x0b\0");
    assert!(reply.ends_with(b"invalid body length of command 11: 1, expected 146\0"));
    tracker.shutdown();
}
