//! Downloads go on elsewhere, at the right byte; files to seek in.

use std::io::{Read, Seek, SeekFrom};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Client, Error, ErrorKind, Opening, RemoteFile};
use proto::ErrorCode;
use proto::storage::{ByteRange, RangeSpec, StorageRequest};
use test_peers::fake::dead_address;
use test_peers::storage::{Act, FakeStorage, Memory};
use test_peers::support::{cluster, config, content, key, memory_with};
use test_peers::tracker::FakeTracker;
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
        // The rest comes from the storages known, without a tracker.
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
fn a_storage_that_always_breaks_off_still_gets_there() {
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
    // While it is away it is refused twice; then it is back.
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

/// A client for which a slow machine is not a silent server.
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

/// Until so many bytes can be read.
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
    download.abandon_stream();
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
fn a_file_is_opened_with_what_is_known_of_it() {
    let file = content(LEN);
    let memory = memory_with(&key("f"), &file);
    let storage = FakeStorage::good(&memory);
    let cpp = FakeStorage::start(&memory, |_, request| match request {
        StorageRequest::Read(_) | StorageRequest::Stat(_) => Act::Close,
        _ => Act::Serve,
    });
    for storage in [&storage, &cpp] {
        let (_tracker, client) = cluster(&[storage]);
        let spans = [
            (0, 0),
            (5, 10),
            (-7, 0),
            (-7, 2),
            (LEN as i64, 0),
            (i64::MAX, 9),
        ];
        for (offset, size) in spans {
            let span = RangeSpec { offset, size };
            let (stat, mut part) = client.open(&key("f"), span).unwrap();
            assert_eq!(stat.size, LEN as u64);
            let ByteRange { offset: start, len } = span.within(LEN as u64);
            assert_eq!((part.offset(), part.remaining()), (start, len));
            let mut bytes = Vec::new();
            part.read_to_end(&mut bytes).unwrap();
            assert!(bytes == file[start as usize..][..len as usize]);
        }
        let error = client.open(&key("g"), RangeSpec::WHOLE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    assert_eq!(storage.requests(), ["read"; 7]);
    // Asked twice with a command it does not know, then never again.
    let requests = cpp.requests();
    let n_reads = requests.iter().filter(|name| **name == "read").count();
    assert_eq!(n_reads, 2);
}

#[test]
fn a_storage_that_does_not_answer_an_opening_is_given_up_for_the_next() {
    let memory = memory_with(&key("f"), b"abc");
    let silent = FakeStorage::start(&memory, |_, _| Act::FallSilent);
    let good = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&silent, &good]);
    let mut opening = client
        .begin_open(&key("f"), RangeSpec::WHOLE, u64::MAX)
        .unwrap();
    let peer = |opening: &Opening| opening.stream().unwrap().peer_addr().unwrap();
    let first = peer(&opening);
    opening.abandon_stream();
    assert_ne!(peer(&opening), first);
    let (stat, mut rest) = opening.finish().unwrap();
    assert_eq!(stat.size, 3);
    let mut bytes = Vec::new();
    rest.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"abc");
    // It is tried last now.
    let opening = client
        .begin_open(&key("f"), RangeSpec::WHOLE, u64::MAX)
        .unwrap();
    assert!(opening.finish().is_ok());
    assert_eq!(good.requests(), ["read"; 2]);
}

#[test]
fn a_connection_that_was_closed_meanwhile_costs_an_opening_nothing() {
    let memory = memory_with(&key("f"), b"abc");
    let storage = FakeStorage::start(&memory, |n, _| match n {
        1 => Act::Close,
        _ => Act::Serve,
    });
    let (_tracker, client) = cluster(&[&storage]);
    for _ in 0..2 {
        let opening = client
            .begin_open(&key("f"), RangeSpec::WHOLE, u64::MAX)
            .unwrap();
        let (stat, mut rest) = opening.finish().unwrap();
        let mut bytes = Vec::new();
        rest.read_to_end(&mut bytes).unwrap();
        assert_eq!((stat.size, bytes.len()), (3, 3));
    }
    assert_eq!(storage.requests(), ["read"; 3]);
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

#[test]
fn the_rest_is_requested_when_the_first_piece_is_read() {
    let file = content(LEN);
    let storage = FakeStorage::good(&memory_with(&key("f"), &file));
    let (_tracker, client) = cluster(&[&storage]);
    let opening = client.begin_open(&key("f"), RangeSpec::WHOLE, 1000);
    let (_, mut download) = opening.unwrap().finish().unwrap();
    assert_eq!(download.remaining(), LEN as u64);
    let mut peeked = [0; 2000];
    assert_eq!(download.peek(&mut peeked).unwrap(), 2000);
    assert_eq!(peeked, file[..2000]);
    assert_eq!((download.offset(), download.remaining()), (0, LEN as u64));
    let mut bytes = Vec::new();
    download.read_to_end(&mut bytes).unwrap();
    assert!(bytes == file);
    assert_eq!(storage.requests(), ["read"; 2]);
    assert_eq!(storage.fake.n_connections(), 1);
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
    download.abandon_stream();
    assert!(download.read_ready(&mut [0; 8]).unwrap().is_none());
    assert!(download.stream().is_none());
    assert!(download.patience() <= Duration::from_millis(500));
}
