//! A storage process that may have few files open.

use std::io::Write;

use proto::{ErrorCode, Fault};

use super::node::{Node, content, download_of, folder};
use super::support::{Client, upload_head};
use test_support::until;

/// The server keeps 192 of these for everything but connections and their requests.
const N_FILES: u32 = 256;
/// Three descriptors each: three times as many as there are.
const N_CLIENTS: usize = 64;
/// Beyond the buffers of sockets, so that a download is in progress while nobody reads it.
const LARGE: usize = 24 << 20;

/// Sends a request from each of many clients and reads nothing.
fn stalled(node: &Node, request: impl Fn(usize) -> Vec<u8>) -> Vec<Client> {
    let clients = (0..N_CLIENTS).map(|n| {
        let mut client = node.client();
        client.0.write_all(&request(n)).unwrap();
        client
    });
    clients.collect()
}

/// Connections that were not let in, requests that were refused, and transfers that had to end for
/// others.
fn n_kept_out(node: &Node) -> u64 {
    let page = node.page("/metrics");
    let names = [
        "tnv_connections_refused_total ",
        "tnv_connections_dropped_total{reason=\"evicted\"} ",
    ];
    let value = |name: &&str| {
        let mut lines = page.text().lines();
        let found = lines.find_map(|line| line.strip_prefix(*name));
        found.unwrap().trim().parse::<u64>().unwrap()
    };
    names.iter().map(value).sum()
}

/// The faults that clients were told, each of one that has got a reply.
fn faults(clients: Vec<Client>) -> Vec<Fault> {
    let told = clients.into_iter().filter_map(|mut client| {
        client.0.set_nonblocking(true).unwrap();
        let has_reply = client.0.peek(&mut [0; 10]).is_ok_and(|len| len == 10);
        client.0.set_nonblocking(false).unwrap();
        has_reply.then(|| client.receive().err()).flatten()
    });
    told.collect()
}

#[test]
fn uploads_and_downloads_beyond_the_descriptors_are_refused_and_the_status_port_answers() {
    let mut node = Node::start(folder(), &["a"], "0B");
    node.client().upload("large", &content(LARGE)).unwrap();
    node.restart_with_files(N_FILES);
    let download = download_of("large");
    let upload = |n| upload_head(&format!("stalled{n}"), LARGE as u64);
    let requests: [&dyn Fn(usize) -> Vec<u8>; 2] = [&upload, &|_| download.clone()];
    for (n, request) in requests.into_iter().enumerate() {
        let before = n_kept_out(&node);
        let clients = stalled(&node, request);
        until("some are kept out", || n_kept_out(&node) > before);
        assert_eq!(node.page("/livez").status, 200);
        // The tracker may be joined only now.
        until("it is well", || node.page("/healthz").status == 200);
        if n == 0 {
            let faults = faults(clients);
            let is_clear = |fault: &Fault| fault.code == ErrorCode::Busy;
            assert!(faults.iter().all(is_clear), "{faults:?}");
        } else {
            drop(clients);
        }
        until("requests are served again", || {
            let mut client = node.client();
            client.upload("after", b"x").is_ok() && client.delete("after").is_ok()
        });
        let log = node.log();
        assert!(!log.contains("Too many open files"), "{log}");
        assert!(!log.contains("takes no uploads"), "{log}");
    }
    assert_eq!(node.client().size("large").unwrap(), LARGE as u64);
    until("what was begun is gone", || node.files("a").len() == 1);
}
