//! Content that does not match the checksum of its row.

use std::io::{Read, Seek, SeekFrom};

use client::{Client, Error, ErrorKind, RemoteFile};
use proto::ErrorCode;
use test_peers::storage::memory_with;
use test_peers::storage::{Act, FakeStorage, damaged_storage};
use test_peers::support::{cluster, content, key};

const LEN: usize = 700_000;

fn read_all(client: &Client) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    client.download(&key("f"))?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn a_damaged_file_has_no_end_and_the_next_read_asks_another_storage() {
    let memory = memory_with(&key("f"), &content(LEN));
    let (bad, good) = (
        damaged_storage(&key("f"), &content(LEN)),
        FakeStorage::good(&memory),
    );
    let (_tracker, client) = cluster(&[&bad, &good]);
    let mut download = client.download(&key("f")).unwrap();
    let mut bytes = Vec::new();
    let error = download.read_to_end(&mut bytes).unwrap_err();
    assert!(bytes.len() < LEN, "the last bytes are given out");
    let Some(Error::Damaged { storages, .. }) = Error::of_io(&error) else {
        panic!("{error}");
    };
    assert_eq!(storages, std::slice::from_ref(&bad.fake.address));
    // It does not end, however often it is read.
    assert!(download.read(&mut [0]).is_err());
    let n_requests = bad.requests().len();
    assert!(read_all(&client).unwrap() == content(LEN));
    assert_eq!(bad.requests().len(), n_requests, "it is asked last now");
}

#[test]
fn a_remote_file_that_is_read_through_is_compared() {
    let memory = memory_with(&key("f"), &content(LEN));
    let (bad, good) = (
        damaged_storage(&key("f"), &content(LEN)),
        FakeStorage::good(&memory),
    );
    let (_tracker, client) = cluster(&[&bad, &good]);
    let mut file = RemoteFile::open(&client, &key("f")).unwrap();
    let error = file.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(file.read(&mut [0]).is_err());
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    assert!(bytes == content(LEN));
}

#[test]
fn a_storage_that_finds_the_damage_itself_is_passed_over() {
    let memory = memory_with(&key("f"), &content(LEN));
    let finds = FakeStorage::start(&memory, |_, _| Act::Refuse(ErrorCode::Damaged));
    let good = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&finds, &good]);
    assert!(read_all(&client).unwrap() == content(LEN));
    let (_tracker, client) = cluster(&[&finds]);
    let error = read_all(&client).unwrap_err();
    assert_eq!(Error::of_io(&error).unwrap().kind(), ErrorKind::Damaged);
}
