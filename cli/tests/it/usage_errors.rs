//! A mistyped argument ends the program at once with exit code 2, and the message names it.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use proto::tracker::{self, TrackerRequest};
use proto::{ErrorCode, Fault, idserver, storage};
use tempfile::TempDir;
use test_peers::fake::{Fake, read_request};

use crate::support::{code, stderr, tnv};

/// Sends the same answer to everybody.
fn answering(answer: Vec<u8>) -> Fake {
    Fake::start(move |_, mut stream| {
        if read_request::<TrackerRequest>(stream).is_some() {
            // The client may have had enough.
            let _ = stream.write_all(&answer);
        }
    })
}

#[test]
fn another_server_than_a_tracker_is_told_by_its_name() {
    let fault = Fault::new(ErrorCode::BadRequest, "unknown command: 12");
    let http = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec();
    for (answer, told) in [
        (
            fault.encode(storage::REPLY, "vm"),
            "that is a storage, not a tracker",
        ),
        (
            fault.encode(idserver::REPLY, "vm"),
            "that is an idserver, not a tracker",
        ),
        (http, "that speaks HTTP, it is not a tracker"),
        (b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), "that is not a tracker"),
    ] {
        let fake = answering(answer);
        let dir = TempDir::new().unwrap();
        for args in [&["stat", "f"][..], &["groups"]] {
            let began = Instant::now();
            let output = tnv(dir.path(), fake.address.as_str(), args).output();
            let output = output.unwrap();
            assert_eq!(code(&output), 2, "{}", stderr(&output));
            assert!(stderr(&output).contains(told), "{}", stderr(&output));
            assert!(began.elapsed() < Duration::from_secs(10));
        }
    }
}

#[test]
fn an_unknown_application_is_a_mistake_at_trackers_of_both_kinds() {
    let ours = Fault::new(ErrorCode::BadRequest, "unknown appid: other");
    let cpp = Fault::new(ErrorCode::Unknown, "unknown appid: other");
    for fault in [ours, cpp] {
        let fake = answering(fault.encode(tracker::REPLY, "vm"));
        let dir = TempDir::new().unwrap();
        let args = ["--app", "other", "stat", "f"];
        let output = tnv(dir.path(), fake.address.as_str(), &args).output();
        let output = output.unwrap();
        assert_eq!(code(&output), 2, "{}", stderr(&output));
        assert!(stderr(&output).contains("unknown appid: other"));
    }
}

#[test]
fn arguments_that_are_no_text_are_refused() {
    let dir = TempDir::new().unwrap();
    let bytes = OsStr::from_bytes(b"\xff");
    for (option, exit) in [("--user", 2), ("--trackers", 2), ("--app", 2)] {
        let mut command = tnv(dir.path(), "127.0.0.9:1", &["stat", "x", option]);
        let output = command.arg(bytes).output().unwrap();
        assert_eq!(code(&output), exit, "{option}: {}", stderr(&output));
        assert!(stderr(&output).contains("UTF-8"), "{}", stderr(&output));
    }
    let mut command = tnv(dir.path(), "127.0.0.9:1", &["monitor", "--check"]);
    let output = command.arg(bytes).output().unwrap();
    assert_eq!(code(&output), 3, "{}", stderr(&output));
}
