//! Files that cannot be read to their end.

use std::io::{Read, Write};

use net::OpenFile;
use proto::{ErrorCode, HEAD_LEN, Head};
use rustix::io::Errno;

use super::support::*;

#[test]
fn a_file_shorter_than_announced_ends_the_connection() {
    let server = start(&config(), &Probe::new());
    for (len, size) in [(1 << 20, 2 << 20), (10, 20)] {
        let mut stream = connect(server.addr());
        let request = download("f", len, size);
        stream.write_all(&request).unwrap();
        let mut head = [0; HEAD_LEN];
        stream.read_exact(&mut head).unwrap();
        let head = Head::decode(&head);
        if head.is_ok() {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            assert!(rest.len() < size as usize);
        } else {
            assert_eq!(size, 20);
        }
    }
    server.shutdown();
}

#[test]
fn only_an_error_of_the_content_tells_a_client_that_a_small_file_is_damaged() {
    let server = start(&config(), &Probe::new());
    let told = |file: &str, len: u64| {
        let mut stream = connect(server.addr());
        let request = download(file, len, 20);
        stream.write_all(&request).unwrap();
        fault(&mut stream).code
    };
    assert_eq!(told("f", 10), ErrorCode::Damaged, "it ends early");
    assert_eq!(told("unreadable", 20), ErrorCode::Unavailable);
    server.shutdown();
    // The disk has lost what it cannot read; a volume that is away may come back.
    let file = tempfile::tempfile().unwrap();
    for (errno, code) in [
        (Errno::IO, ErrorCode::Damaged),
        (Errno::NOTCONN, ErrorCode::Unavailable),
        (Errno::STALE, ErrorCode::Unavailable),
    ] {
        assert_eq!(file.cannot_read(0, &errno.into()), code, "{errno}");
    }
}
