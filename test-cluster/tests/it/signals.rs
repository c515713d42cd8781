//! Signals of an operator.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use bench::Content;
use proto::storage::{StorageRequest, Upload};
use proto::{FileKey, HEAD_LEN, Head};
use rustix::process::Signal;
use test_cluster::{Layout, Node, Role, probe};
use test_support::http::open;
use test_support::process::Exit;

use crate::support::{Fixture, MIB, PATIENCE, connect, new_key, wait_for};

const SIZE: u64 = 8 * MIB;

/// An upload whose first half a storage has received.
struct HalfDone {
    stream: TcpStream,
    key: FileKey,
    content: Content,
}

impl HalfDone {
    fn begin(storage: &Node) -> HalfDone {
        let mut stream = connect(storage);
        let (key, content) = (new_key(), Content::new(5, SIZE));
        let upload = Upload {
            key: key.clone(),
            size: SIZE,
        };
        stream
            .write_all(&StorageRequest::Upload(upload).encode())
            .unwrap();
        io::copy(&mut content.clone().take(SIZE / 2), &mut stream).unwrap();
        HalfDone {
            stream,
            key,
            content,
        }
    }

    fn finish(&mut self) -> Head {
        let mut rest = self.content.starting_at(SIZE / 2);
        io::copy(&mut rest, &mut self.stream).unwrap();
        let mut head = [0; HEAD_LEN];
        self.stream.read_exact(&mut head).unwrap();
        Head::decode(&head)
    }
}

#[test]
fn sigterm_leaves_the_trackers_and_finishes_requests_in_flight() {
    let mut fixture = Fixture::start(&Layout {
        trackers: 2,
        ..Layout::small(2)
    });
    // An upload through a tracker binds the user to the group.
    fixture.upload(&Content::new(6, 1));
    let storage = fixture.cluster.node("storage-1-1");
    let mut upload = HalfDone::begin(&storage);
    wait_for("the upload to begin", || fixture.storage_at_work(true));
    fixture.cluster.terminate(&storage).unwrap();
    for tracker in fixture.cluster.addresses(Role::Tracker) {
        wait_for("the storage to leave", || {
            match probe::status_at(&tracker.into(), &storage).unwrap() {
                None => Ok(()),
                Some(status) => Err(format!("that tracker {tracker} has it as {status}")),
            }
        });
    }
    let reply = upload.finish();
    assert!(reply.is_ok(), "{reply:?}");
    let exit = fixture.cluster.wait_exit(&storage, PATIENCE).unwrap();
    assert_eq!(exit, Exit::Code(0));
    fixture.assert_streams(upload.key.file.as_str(), &upload.content);
}

#[test]
fn a_second_sigterm_exits_at_once() {
    let mut fixture = Fixture::small(1);
    let storage = fixture.cluster.node("storage-1-1");
    let _upload = HalfDone::begin(&storage);
    wait_for("the upload to begin", || fixture.storage_at_work(true));
    fixture.cluster.terminate(&storage).unwrap();
    wait_stopping(&fixture, &storage);
    fixture.cluster.terminate(&storage).unwrap();
    let exit = fixture.cluster.wait_exit(&storage, PATIENCE);
    assert_eq!(exit.unwrap(), Exit::Code(1));
}

/// Waits until the log of a daemon shows that it stops.
fn wait_stopping(fixture: &Fixture, node: &Node) {
    let log = fixture.cluster.plan().log(node);
    wait_for("the stop to begin", || {
        let text = fs::read_to_string(&log).unwrap();
        if text.contains("stopping") {
            Ok(())
        } else {
            Err(text)
        }
    });
}

#[test]
fn a_player_gets_the_rest_of_its_video_after_sigterm() {
    let mut fixture = Fixture::small(1);
    let content = Content::new(6, 64 * MIB);
    let key = fixture.upload(&content);
    let url = fixture.url(key.file.as_str());
    let (_, mut body) = open(&url, None, PATIENCE).unwrap();
    body.read_exact(&mut vec![0; MIB as usize]).unwrap();
    let nodes = [
        fixture.cluster.node("httpd-1"),
        fixture.cluster.node("storage-1-1"),
    ];
    for node in &nodes {
        fixture.cluster.terminate(node).unwrap();
        wait_stopping(&fixture, node);
    }
    content.starting_at(MIB).compare(&mut body).unwrap();
    for node in &nodes {
        let exit = fixture.cluster.wait_exit(node, PATIENCE).unwrap();
        assert_eq!(exit, Exit::Code(0), "{}", node.name);
    }
}

#[test]
fn sigterm_ends_every_daemon_with_code_0() {
    let mut fixture = Fixture::small(2);
    let content = Content::new(1, MIB);
    let key = fixture.upload(&content);
    fixture.assert_streams(key.file.as_str(), &content);
    fixture.cluster.stop().unwrap();
}

#[test]
fn sighup_reopens_the_logs() {
    let mut fixture = Fixture::small(1);
    let nodes = fixture.cluster.plan().nodes.clone();
    for node in &nodes {
        let plan = fixture.cluster.plan();
        let logs = [plan.log(node), plan.access_log(node)];
        for log in &logs {
            fs::rename(log, log.with_extension("old")).unwrap();
        }
        let process = fixture.cluster.process(node).unwrap();
        process.signal(Signal::HUP).unwrap();
        for log in &logs {
            wait_for("a new log", || {
                if log.exists() {
                    Ok(())
                } else {
                    Err(format!("no {}", log.display()))
                }
            });
        }
    }
    let content = Content::new(1, MIB);
    let key = fixture.upload(&content);
    fixture.assert_streams(key.file.as_str(), &content);
    for node in &nodes {
        let log = fixture.cluster.plan().access_log(node);
        wait_for("a line in a new access log", || {
            match fs::read_to_string(&log).unwrap() {
                text if text.is_empty() => Err(format!("{} empty", log.display())),
                _ => Ok(()),
            }
        });
    }
}
