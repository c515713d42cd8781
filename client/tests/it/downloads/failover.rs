//! A download continues from another storage, at the right byte.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Client, Error, ErrorKind};
use proto::ErrorCode;
use proto::storage::StorageRequest;
use test_peers::fake::dead_address;
use test_peers::storage::memory_with;
use test_peers::storage::{Act, FakeStorage, Memory};
use test_peers::support::{cluster, config, content, key};
use test_peers::tracker::FakeTracker;

use super::{LEN, read_all};

#[test]
fn a_dead_storage_costs_nothing_but_a_try() {
    let good = FakeStorage::good(&memory_with(&key("f"), &content(LEN)));
    let tracker = FakeTracker::start(&[&dead_address(), &good.fake.address]);
    let client = Client::new(config(&tracker));
    assert_eq!(read_all(&client).unwrap(), content(LEN));
    for code in [ErrorCode::Damaged, ErrorCode::Unknown, ErrorCode::Busy] {
        let bad = FakeStorage::start(&Arc::new(Memory::default()), move |_, _| Act::Refuse(code));
        let (_tracker, client) = cluster(&[&bad, &good]);
        assert_eq!(read_all(&client).unwrap(), content(LEN));
    }
}

#[test]
fn a_storage_that_dies_in_the_middle_is_not_noticed() {
    let memory = memory_with(&key("f"), &content(LEN));
    for cut in [0, 1, 700_000, LEN - 1] {
        let dying = FakeStorage::start(&memory, move |_, _| Act::CutAfter(cut));
        let good = FakeStorage::good(&memory);
        let (tracker, client) = cluster(&[&dying, &good]);
        let mut download = client.download(&key("f")).unwrap();
        // The rest comes from the known storages, without a tracker.
        drop(tracker);
        let mut bytes = Vec::new();
        download.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, content(LEN));
        assert_eq!((dying.requests().len(), good.requests().len()), (1, 1));
    }
}

#[test]
fn a_storage_that_falls_silent_in_the_middle_is_left() {
    let memory = memory_with(&key("f"), &content(LEN));
    let silent = FakeStorage::start(&memory, |_, _| Act::StallAfter(5000));
    let good = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&silent, &good]);
    assert_eq!(read_all(&client).unwrap(), content(LEN));
}

#[test]
fn a_storage_that_breaks_off_again_and_again_still_delivers_the_file() {
    let memory = memory_with(&key("f"), &content(50_000));
    let dying = FakeStorage::start(&memory, |_, request| match request {
        StorageRequest::Read(read) if read.range.offset < 45_000 => Act::CutAfter(5000),
        _ => Act::Serve,
    });
    let (_tracker, client) = cluster(&[&dying]);
    assert_eq!(read_all(&client).unwrap(), content(50_000));
    assert_eq!(dying.requests().len(), 10);
}

#[test]
fn a_new_storage_is_found_through_the_trackers() {
    let memory = memory_with(&key("f"), &content(LEN));
    let dying = FakeStorage::start(&memory, |number, _| match number {
        0 => Act::CutAfter(5000),
        _ => Act::Close,
    });
    let good = FakeStorage::good(&memory);
    let (tracker, client) = cluster(&[&dying]);
    let mut download = client.download(&key("f")).unwrap();
    tracker.set_storages(&[&good.fake.address]);
    let mut bytes = Vec::new();
    download.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, content(LEN));
}

#[test]
fn attempts_without_progress_are_bounded() {
    let memory = memory_with(&key("f"), &content(LEN));
    let dying = FakeStorage::start(&memory, |number, _| match number {
        0 => Act::CutAfter(5000),
        _ => Act::Close,
    });
    let (tracker, _) = cluster(&[&dying]);
    let mut bytes = Vec::new();
    let mut download = patient(&tracker).download(&key("f")).unwrap();
    let error = download.read_to_end(&mut bytes).unwrap_err();
    assert_eq!(Error::of_io(&error).unwrap().kind(), ErrorKind::Network);
    assert_eq!(bytes, content(LEN)[..5000]);
    assert_eq!(dying.requests().len(), 5);
}

#[test]
fn silent_storages_are_not_waited_for_in_every_round() {
    let memory = memory_with(&key("f"), &content(LEN));
    let silent = FakeStorage::start(&memory, |number, _| match number {
        0 => Act::CutAfter(5000),
        _ => Act::FallSilent,
    });
    let (_tracker, client) = cluster(&[&silent]);
    let mut download = client.download(&key("f")).unwrap();
    let error = download.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(Error::of_io(&error).unwrap().kind(), ErrorKind::Unavailable);
    assert_eq!(silent.requests().len(), 3);
}

#[test]
fn the_only_storage_may_restart_in_the_middle() {
    let memory = memory_with(&key("f"), &content(LEN));
    // Two requests are refused during the restart.
    let restarting = FakeStorage::start(&memory, |number, _| match number {
        0 => Act::CutAfter(5000),
        1 | 2 => Act::Close,
        _ => Act::Serve,
    });
    let (tracker, _) = cluster(&[&restarting]);
    let mut bytes = Vec::new();
    let mut download = patient(&tracker).download(&key("f")).unwrap();
    let began = Instant::now();
    download.read_to_end(&mut bytes).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(900), "in no time");
    assert_eq!(bytes, content(LEN));
}

/// A client with a timeout that a slow machine does not reach.
fn patient(tracker: &FakeTracker) -> Client {
    let mut config = config(tracker);
    config.connection.io_timeout = Duration::from_secs(10);
    Client::new(config)
}

#[test]
fn a_file_deleted_in_the_middle_is_not_found() {
    let memory = memory_with(&key("f"), &content(LEN));
    let dying = FakeStorage::start(&memory, |number, _| match number {
        0 => Act::CutAfter(5000),
        _ => Act::Serve,
    });
    let (_tracker, client) = cluster(&[&dying]);
    let mut download = client.download(&key("f")).unwrap();
    memory.files.lock().unwrap().clear();
    let error = download.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn a_download_goes_on_with_the_same_file_only() {
    let memory = memory_with(&key("f"), &content(LEN));
    let dying = FakeStorage::start(&memory, |_, _| Act::CutAfter(5000));
    let other = FakeStorage::good(&memory_with(&key("f"), &vec![7; LEN]));
    let (_tracker, client) = cluster(&[&dying, &other]);
    let mut download = client.download(&key("f")).unwrap();
    let mut bytes = Vec::new();
    let error = download.read_to_end(&mut bytes).unwrap_err();
    let error = Error::of_io(&error);
    assert!(matches!(error, Some(Error::Replaced(_))), "{error:?}");
    assert_eq!(bytes, content(LEN)[..5000]);
}

#[test]
fn a_pause_between_rounds_does_not_block_a_read_that_must_not_wait() {
    let memory = memory_with(&key("f"), &content(LEN));
    let dying = FakeStorage::start(&memory, |number, _| match number {
        0 => Act::CutAfter(5000),
        _ => Act::Close,
    });
    let (tracker, _) = cluster(&[&dying]);
    let mut download = patient(&tracker).download(&key("f")).unwrap();
    download.read_exact(&mut [0; 5000]).unwrap();
    download.abandon();
    assert!(download.read_ready(&mut [0; 8]).unwrap().is_none());
    assert!(download.stream().is_none());
    assert!(download.patience() <= Duration::from_millis(500));
}
