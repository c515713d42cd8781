//! Malformed bytes cost only their connection.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use bench::Content;
use test_cluster::{Layout, Node, Role, proc};

use crate::hostile_bytes::{honest, hostile};
use crate::support::{Fixture, connect, wait_for};

/// Descriptors that a server may have more than before. Each of the 16 workers of a storage may keep a
/// connection to the idserver for a minute. A leak would be hundreds.
const SPARE: usize = 20;

/// Sends bytes, closes the sending side, and reads until the server closes.
fn send(node: &Node, bytes: &[u8]) {
    let mut stream = connect(node);
    // The server may refuse and close before it has read everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    drain(node, &mut stream, bytes);
}

fn drain(node: &Node, stream: &mut TcpStream, bytes: &[u8]) {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::ConnectionReset => return,
            Err(e) => panic!(
                "{} keeps a connection open ({e}) that sent {} bytes: {:x?}",
                node.name,
                bytes.len(),
                &bytes[..bytes.len().min(64)]
            ),
        }
    }
}

/// Figures of a process that must be the same afterwards.
fn check_unharmed(fixture: &mut Fixture, before: &[(Node, usize)]) {
    fixture.cluster.wait_ready().unwrap();
    for (node, n_before) in before {
        let pid = fixture.pid(node);
        wait_for("connections to be closed", || {
            let n_open = proc::open_descriptors(pid).unwrap();
            if n_open <= n_before + SPARE {
                return Ok(());
            }
            Err(format!(
                "{n_open} descriptors, {n_before} before, in {}",
                node.name
            ))
        });
        let plan = fixture.cluster.plan();
        for log in [plan.log(node), plan.err_log(node)] {
            let text = fs::read_to_string(&log).unwrap();
            assert!(!text.contains("panicked"), "{}:\n{text}", log.display());
        }
    }
    wait_for("temporary files to go", || match fixture.stored().1 {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
    use_all(fixture);
}

/// Uploads and downloads a file.
fn use_all(fixture: &Fixture) {
    let content = Content::new(9, 300_000);
    let key = fixture.upload(&content);
    fixture.assert_streams(key.file.as_str(), &content);
    fixture.client().delete(&key).unwrap();
}

fn start() -> (Fixture, Vec<(Node, usize)>) {
    let mut fixture = Fixture::start(&Layout::small(1));
    use_all(&fixture);
    let nodes = fixture.cluster.plan().nodes.clone();
    let count = |node: Node| {
        let n_open = proc::open_descriptors(fixture.pid(&node)).unwrap();
        (node, n_open)
    };
    let before = nodes.into_iter().map(count).collect();
    (fixture, before)
}

#[test]
fn malformed_bytes_cost_only_their_connection() {
    let (mut fixture, before) = start();
    for (node, _) in &before {
        for bytes in hostile(node.role) {
            send(node, &bytes);
        }
    }
    check_unharmed(&mut fixture, &before);
}

#[test]
fn a_connection_may_break_at_any_byte() {
    let (mut fixture, before) = start();
    for (node, _) in &before {
        for request in honest(node.role) {
            for len in 0..request.len() {
                let mut stream = connect(node);
                stream.write_all(&request[..len]).unwrap();
            }
        }
    }
    check_unharmed(&mut fixture, &before);
    let (files, _) = fixture.stored();
    assert_eq!(files, Vec::<std::path::PathBuf>::new());
    for role in Role::ALL {
        for node in fixture.nodes(role) {
            assert!(fixture.cluster.process(&node).unwrap().is_alive());
        }
    }
}
