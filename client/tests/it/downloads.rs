//! Whole files, ranges, and files with a position.

mod failover;
mod opening;

use std::io::{Read, Seek, SeekFrom};
use std::net::TcpStream;
use std::time::Duration;

use client::{Client, Error, ErrorKind, RemoteFile};
use proto::storage::RangeSpec;
use test_peers::storage::FakeStorage;
use test_peers::storage::memory_with;
use test_peers::support::{cluster, config, content, key};
use test_support::until;

const LEN: usize = 1_300_000;

fn read_all(client: &Client) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    client.download(&key("f"))?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn whole_files_and_ranges_are_read() {
    let storage = FakeStorage::good(&memory_with(&key("f"), &content(LEN)));
    let (_tracker, client) = cluster(&[&storage]);
    assert_eq!(read_all(&client).unwrap(), content(LEN));
    for (offset, len) in [(0, 1), (5, LEN - 5), (LEN - 1, 1), (LEN, 0), (0, 0)] {
        let mut range = client
            .read_range(&key("f"), offset as u64, Some(len as u64))
            .unwrap();
        assert_eq!(range.remaining(), len as u64);
        let mut bytes = Vec::new();
        range.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, content(LEN)[offset..offset + len]);
        assert_eq!(
            (range.remaining(), range.offset()),
            (0, (offset + len) as u64)
        );
    }
    let tail = client.read_range(&key("f"), LEN as u64 - 3, None).unwrap();
    assert_eq!(tail.remaining(), 3);
    drop(tail);
    assert_eq!(
        storage.fake.n_connections(),
        1,
        "finished downloads share a connection"
    );
}

#[test]
fn empty_files_and_ranges_do_not_mean_to_the_end() {
    let memory = memory_with(&key("f"), b"");
    let storage = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&storage]);
    assert_eq!(read_all(&client).unwrap(), b"");
    assert_eq!(
        client
            .read_range(&key("f"), 0, Some(0))
            .unwrap()
            .remaining(),
        0
    );
    for (file, offset, len, kind) in [
        ("f", 1, Some(0), ErrorKind::BadRequest),
        ("f", 0, Some(1), ErrorKind::BadRequest),
        ("g", 0, Some(0), ErrorKind::NotFound),
        ("g", 0, None, ErrorKind::NotFound),
    ] {
        let error = client.read_range(&key(file), offset, len).unwrap_err();
        assert_eq!(error.kind(), kind);
    }
    let mut remote = RemoteFile::open(&client, &key("f")).unwrap();
    assert_eq!(remote.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn an_unfinished_download_closes_its_connection() {
    let storage = FakeStorage::good(&memory_with(&key("f"), &content(LEN)));
    let (_tracker, client) = cluster(&[&storage]);
    let mut download = client.download(&key("f")).unwrap();
    download.read_exact(&mut [0; 10]).unwrap();
    drop(download);
    assert_eq!(read_all(&client).unwrap(), content(LEN));
    assert_eq!(storage.fake.n_connections(), 2);
}

#[test]
fn a_download_that_is_nearly_finished_leaves_its_connection() {
    let storage = FakeStorage::good(&memory_with(&key("f"), &content(LEN)));
    let (_tracker, client) = cluster(&[&storage]);
    let span = RangeSpec {
        offset: 0,
        size: 20_000,
    };
    let (_, mut download) = client.open(&key("f"), span).unwrap();
    download.read_exact(&mut [0; 10]).unwrap();
    wait_come(download.stream().unwrap(), 19_990);
    drop(download);
    assert_eq!(read_all(&client).unwrap(), content(LEN));
    assert_eq!(storage.fake.n_connections(), 1);
}

/// Waits until `len` bytes can be read.
fn wait_come(stream: &TcpStream, len: usize) {
    let mut bytes = vec![0; len];
    until("the bytes", || stream.peek(&mut bytes).unwrap() >= len);
}

#[test]
fn the_stream_can_be_read_by_others() {
    let storage = FakeStorage::good(&memory_with(&key("f"), &content(1000)));
    let (_tracker, client) = cluster(&[&storage]);
    let mut download = client.download(&key("f")).unwrap();
    let mut bytes = vec![0; 600];
    download.stream().unwrap().read_exact(&mut bytes).unwrap();
    download.advance(600);
    assert!(download.is_checked());
    download.inspect(&bytes).unwrap();
    assert_eq!(download.remaining(), 400);
    download.abandon();
    download.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, content(1000));
}

#[test]
fn a_remote_file_is_read_and_sought_in() {
    let storage = FakeStorage::good(&memory_with(&key("f"), &content(LEN)));
    let (tracker, _) = cluster(&[&storage]);
    let mut config = config(&tracker);
    config.connection.io_timeout = Duration::from_secs(10);
    let client = Client::new(config);
    let mut file = RemoteFile::open(&client, &key("f")).unwrap();
    assert_eq!(file.size(), LEN as u64);
    let mut buf = [0; 100];
    for (target, at, reads) in [
        (SeekFrom::Start(0), 0, 1),
        (SeekFrom::Current(1000), 1100, 1),
        (SeekFrom::Start(1_000_000), 1_000_000, 2),
        (SeekFrom::Current(-100), 1_000_000, 3),
        (SeekFrom::End(-100), LEN - 100, 4),
    ] {
        assert_eq!(file.seek(target).unwrap(), at as u64);
        file.read_exact(&mut buf).unwrap();
        assert_eq!(buf, content(LEN)[at..at + 100]);
        let n = storage.requests().iter().filter(|&&r| r == "read").count();
        assert_eq!(n, reads);
    }
    assert_eq!(file.read(&mut buf).unwrap(), 0);
    assert_eq!(file.seek(SeekFrom::End(10)).unwrap(), LEN as u64 + 10);
    assert_eq!(file.read(&mut buf).unwrap(), 0);
    assert!(file.seek(SeekFrom::Current(-i64::MAX)).is_err());
    file.seek(SeekFrom::Start(7)).unwrap();
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, content(LEN)[7..]);
}

#[test]
fn a_remote_file_reads_the_file_that_was_opened_only() {
    let memory = memory_with(&key("f"), &content(LEN));
    let storage = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&storage]);
    let mut file = RemoteFile::open(&client, &key("f")).unwrap();
    let replaced = [content(LEN - 1), vec![255]].concat();
    memory.files.lock().unwrap().insert(key("f"), replaced);
    let error = file.read(&mut [0; 8]).unwrap_err();
    let error = Error::of_io(&error);
    assert!(matches!(error, Some(Error::Replaced(_))), "{error:?}");
}
