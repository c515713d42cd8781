//! Servers behind address translation: clients reach them at an address that they do not know as their own.

use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use client::{Client, ErrorKind};
use rustix::process::Signal;
use test_cluster::{APP, Layout, Node, Role, USER};

use crate::guarded::Guarded;
use crate::operations::taking_orders;
use crate::support::{Fixture, wait_for};

/// Passes connections on to a server, until the test program ends. Returns its address.
fn translate_to(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let Ok(target) = TcpStream::connect(server) else {
                continue;
            };
            let back = [&target, &stream].map(|end| end.try_clone().unwrap());
            thread::spawn(move || pass_on(&stream, &target));
            let [from, to] = back;
            thread::spawn(move || pass_on(&from, &to));
        }
    });
    address
}

fn pass_on(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// Exit code and output of `tnv admin` for the tracker at this address.
fn order(fixture: &Fixture, tracker: SocketAddr, key: &str, order: &str) -> (Option<i32>, String) {
    let output = Command::new(fixture.cluster.binaries().tnv())
        .args(["--trackers", &tracker.to_string(), "--app", APP])
        .args(["--user", USER, "admin", "--key-file", key])
        .args([order, "group001"])
        .env("TNV_CONFIG", "/dev/null")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// Names the address in `known_as` and reloads the settings.
fn name(fixture: &mut Fixture, node: &Node, address: SocketAddr) {
    let config = fixture.cluster.plan().config(node);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("known_as = [\"{address}\"]\n{text}")).unwrap();
    let process = fixture.cluster.process(node).unwrap();
    process.signal(Signal::HUP).unwrap();
}

#[test]
fn an_order_reaches_a_tracker_at_an_address_in_known_as_only() {
    let (mut fixture, key) = taking_orders(Layout::small(1), "10s");
    let tracker = fixture.nodes(Role::Tracker).remove(0);
    let address = translate_to(tracker.addr);
    let (exit, said) = order(&fixture, address, &key, "close-group");
    assert_eq!(exit, Some(9), "{said}");
    assert!(said.contains("known_as"), "{said}");
    name(&mut fixture, &tracker, address);
    wait_for("the tracker to take an order", || {
        match order(&fixture, address, &key, "close-group") {
            (Some(0), _) => Ok(()),
            refused => Err(format!("{refused:?}")),
        }
    });
    // At its own address, too.
    let (exit, said) = order(&fixture, tracker.addr, &key, "open-group");
    assert_eq!(exit, Some(0), "{said}");
}

#[test]
fn a_proof_reaches_a_tracker_at_an_address_in_known_as_only() {
    let mut guarded = Guarded::with_key("");
    let tracker = guarded.node(Role::Tracker);
    let address = translate_to(tracker.addr);
    let client: Client = guarded.client_of(address);
    let refused = client.stat(&guarded.stored).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden, "{refused}");
    assert!(refused.chain().contains("known_as"), "{refused}");
    name(&mut guarded.fixture, &tracker, address);
    wait_for("the tracker to accept the proof", || {
        client.stat(&guarded.stored).map_err(|e| e.to_string())
    });
}
