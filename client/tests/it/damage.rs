//! Content that does not match the checksum of its row.

use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use client::{Client, Error, ErrorKind, RemoteFile};
use proto::storage::{FileStat, REPLY, StorageRequest};
use proto::{ErrorCode, Head};

use crate::cli::{Setup, code, stderr, stdout};
use crate::storage::{Act, FakeStorage, Memory};
use crate::support::{cluster, content, key, memory_with};

const LEN: usize = 700_000;

fn damaged(good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    bytes[LEN / 2] ^= 1;
    bytes
}

/// Has the row of the file, and content with another bit.
fn bad(memory: &Arc<Memory>) -> FakeStorage {
    FakeStorage::start(memory, |_, request| {
        let file = damaged(&content(LEN));
        let mut body = match request {
            StorageRequest::Read(read) => {
                let (start, len) = read.span.within(LEN as u64);
                let checksum = client::checksum_of(&mut &content(LEN)[..]).unwrap();
                let stat = FileStat {
                    size: LEN as u64,
                    modified: 1_700_000_000,
                    checksum: Some(checksum),
                };
                let part = &file[start as usize..][..len as usize];
                [stat.encode(), part.to_vec()].concat()
            }
            StorageRequest::Download(range) => {
                file[range.offset as usize..][..range.size as usize].to_vec()
            }
            _ => return Act::Serve,
        };
        let mut bytes = Head::reply(REPLY, body.len() as u64).encode().to_vec();
        bytes.append(&mut body);
        Act::RawAndClose(bytes)
    })
}

fn read_all(client: &Client) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    client.download(&key("f"))?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn a_damaged_file_has_no_end_and_the_next_read_asks_another_storage() {
    let memory = memory_with(&key("f"), &content(LEN));
    let (bad, good) = (bad(&memory), FakeStorage::good(&memory));
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
    let (bad, good) = (bad(&memory), FakeStorage::good(&memory));
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
fn the_command_line_downloads_again_from_another_storage() {
    let memory = memory_with(&key("f"), &content(LEN));
    let (bad, good) = (bad(&memory), FakeStorage::good(&memory));
    let setup = Setup::new(&[&bad, &good]);
    let output = setup.run(&["download", "f", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(setup.read("f").unwrap() == content(LEN));
    assert!(stdout(&output).contains("\"verified\":true"));
    let address = bad.fake.address.as_str();
    assert!(stderr(&output).contains(address), "{}", stderr(&output));
    assert_eq!(bad.requests(), ["read"]);
}

#[test]
fn damaged_at_every_storage_is_damaged() {
    let memory = memory_with(&key("f"), &content(LEN));
    let storages = [bad(&memory), bad(&memory)];
    let setup = Setup::new(&[&storages[0], &storages[1]]);
    for args in [&["download", "f"][..], &["download", "f", "-o", "-"]] {
        let output = setup.run(args);
        assert_eq!(code(&output), 7, "{}", stderr(&output));
    }
    assert_eq!(setup.dir.path().read_dir().unwrap().count(), 0);
    // Both were asked for the file, the first of them also for standard output.
    assert_eq!(storages[1].requests(), ["read"]);
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
