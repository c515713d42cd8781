//! Frames recorded from the C++ programs, byte for byte (`tests/frames.json`).

use proto::idserver::{self, IdRequest};
use proto::storage::{self, StorageRequest};
use proto::tracker::{SaddrsReply, TrackerRequest};
use proto::{ErrorCode, Fault, HEAD_LEN, Head, Request, group_list};
use test_peers::recorded::exchanges;

fn split(frame: &[u8]) -> (Head, &[u8]) {
    let (head, body) = frame.split_at(HEAD_LEN);
    let head = Head::decode(head.try_into().unwrap());
    assert_eq!(head.body_len, body.len() as i64);
    (head, body)
}

fn decode<R: Request>(frame: &[u8]) -> R {
    let (head, body) = split(frame);
    let fixed = R::fixed_len(&head).unwrap();
    R::decode(&head, &body[..fixed]).unwrap()
}

/// Every byte of tnv that is not zero equals the recorded byte. The C++ client sends uninitialized
/// bytes where tnv sends zeros.
fn assert_same_but_for_junk(ours: &[u8], recorded: &[u8]) {
    assert_eq!(ours[..HEAD_LEN], recorded[..HEAD_LEN]);
    for (i, (&our, &their)) in ours.iter().zip(recorded).enumerate() {
        assert!(our == 0 || our == their, "byte {i}: {our} against {their}");
    }
}

#[test]
fn every_recorded_request_is_understood_and_written_alike() {
    for exchange in exchanges() {
        let recorded = exchange.request;
        let ours = match exchange.server.as_str() {
            "tracker" => decode::<TrackerRequest>(&recorded).encode(),
            "idserver" => decode::<IdRequest>(&recorded).encode(),
            "storage" => decode::<StorageRequest>(&recorded).encode(),
            other => panic!("{other}"),
        };
        assert_same_but_for_junk(&ours, &recorded);
    }
}

#[test]
fn every_recorded_failure_is_read_and_written_alike() {
    let failures: Vec<_> = exchanges().into_iter().filter(|e| !e.ok).collect();
    assert_eq!(failures.len(), 5);
    for exchange in failures {
        let recorded = exchange.response;
        let (head, body) = split(&recorded);
        assert!(!head.is_ok());
        let fault = Fault::decode(body).unwrap();
        assert_eq!(fault.code, ErrorCode::Unknown);
        let message = fault.message.strip_prefix("[vm] ").unwrap();
        let again = Fault::new(ErrorCode::Unknown, message).encode(head.command, "vm");
        assert_eq!(again, recorded);
    }
}

#[test]
fn every_recorded_success_is_read_and_written_alike() {
    for exchange in exchanges().into_iter().filter(|e| e.ok) {
        let recorded = exchange.response;
        let (head, body) = split(&recorded);
        let again = match (exchange.server.as_str(), exchange.command.as_str()) {
            ("tracker", "groups") => group_list::encode(&group_list::decode(body).unwrap()),
            ("tracker", "saddrs") => SaddrsReply::decode(body).unwrap().encode(),
            ("idserver", "get-id") => idserver::encode_id(idserver::decode_id(body).unwrap()),
            ("storage", "filesize") => {
                storage::encode_file_size(storage::decode_file_size(body).unwrap())
            }
            _ => body.to_vec(),
        };
        assert_eq!(again, body, "{} {}", exchange.server, exchange.command);
        let replies = [("tracker", 100), ("idserver", 101), ("storage", 102)];
        assert!(replies.contains(&(exchange.server.as_str(), head.command)));
    }
}

#[test]
fn the_recorded_values_are_what_was_sent() {
    let find = |command: &str| {
        let exchange = exchanges().into_iter().find(|e| e.command == command);
        exchange.unwrap().request
    };
    let TrackerRequest::Join(join) = decode(&find("join")) else {
        panic!("not a join")
    };
    assert_eq!((join.version.as_str(), join.port), ("1.0", 23000));
    assert_eq!(join.member.group.as_str(), "group001");
    assert_eq!(join.member.hostname.as_str(), "vm");
    assert_eq!(join.start_time, 0x6b02_0206);
    let IdRequest::GetId(key) = decode(&find("get-id")) else {
        panic!("not a get-id")
    };
    assert_eq!(key.as_str(), "../data");
    let StorageRequest::Download(download) = decode(&find("download")) else {
        panic!("not a download")
    };
    assert_eq!((download.offset, download.size), (4, 11));
    assert_eq!(
        download.key.to_string(),
        "tnvideo/tnv001/6b02020e02c1630026e30ba15c79bd000188"
    );
}
