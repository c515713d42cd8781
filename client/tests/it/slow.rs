//! Servers that are silent, or as good as silent.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use client::{Client, ConnectionPool, ErrorKind, IdClient, Opening};
use proto::idserver::IdRequest;
use proto::storage::{RangeSpec, StorageRequest};
use proto::tracker::TrackerRequest;
use proto::{Head, IdKey, idserver, storage, tracker};
use test_peers::fake::{DEADLINE, Fake, drip, read_request, reply, silent};
use test_peers::storage::memory_with;
use test_peers::storage::{Act, FakeStorage};
use test_peers::support::{cluster, config, content, key};
use test_peers::tracker::FakeTracker;

/// Shorter than the time-out of the tests' client, which is 1 s: each byte would renew a time-out
/// of single reads.
const PAUSE: Duration = Duration::from_millis(300);
/// Time that a loaded machine may need beyond the timeouts.
const SLACK: Duration = Duration::from_secs(5);

fn read_all(client: &Client) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    client.download(&key("f"))?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn a_reply_that_drips_is_given_up_for_the_next_storage() {
    let memory = memory_with(&key("f"), &content(1000));
    let dripping = FakeStorage::start(&memory, |_, _| Act::Drip(PAUSE));
    let good = FakeStorage::good(&memory);
    let calls: [fn(&Client); 4] = [
        |client| assert_eq!(client.stat(&key("f")).unwrap().size, 1000),
        |client| assert_eq!(client.file_size(&key("f")).unwrap(), 1000),
        |client| assert!(read_all(client).unwrap() == content(1000)),
        |client| {
            let range = client.read_range(&key("f"), 1, Some(10));
            assert_eq!(range.unwrap().remaining(), 10);
        },
    ];
    for call in calls {
        let (_tracker, client) = cluster(&[&dripping, &good]);
        let began = Instant::now();
        call(&client);
        // The head alone would take 3 s, with what is known of the file 12 s.
        assert!(began.elapsed() < Duration::from_millis(2900), "it waits");
    }
}

#[test]
fn content_that_drips_is_given_up_for_the_next_storage() {
    let memory = memory_with(&key("f"), &content(20_000));
    let dripping = FakeStorage::start(&memory, |_, _| Act::DripAfter(5000, PAUSE));
    let good = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&dripping, &good]);
    let began = Instant::now();
    assert!(read_all(&client).unwrap() == content(20_000));
    assert!(began.elapsed() < Duration::from_secs(1) + SLACK);
}

#[test]
fn the_answer_to_an_opening_that_drips_is_not_waited_for() {
    let memory = memory_with(&key("f"), &content(1000));
    let dripping = FakeStorage::start(&memory, |_, _| Act::Drip(PAUSE));
    let good = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&dripping, &good]);
    let mut opening = client
        .begin_open(&key("f"), RangeSpec::WHOLE, u64::MAX)
        .unwrap();
    let began = Instant::now();
    // As a worker does that is woken for each byte.
    while !opening.has_answer() {
        let left = opening.time_left();
        if left.is_zero() {
            opening.abandon_stream();
        } else {
            wait_readable(&opening, left);
        }
        assert!(began.elapsed() < DEADLINE);
    }
    let (stat, _) = opening.finish().unwrap();
    assert_eq!(stat.size, 1000);
    assert!(began.elapsed() < Duration::from_secs(1) + SLACK);
}

/// Until a byte has come, or for this long.
fn wait_readable(opening: &Opening, time: Duration) {
    let stream: &TcpStream = opening.stream().unwrap();
    let stream = stream.try_clone().unwrap();
    stream.set_read_timeout(Some(time)).unwrap();
    let _ = stream.peek(&mut [0]);
}

#[test]
fn a_tracker_that_drips_is_given_up_for_the_next() {
    let storage = FakeStorage::good(&memory_with(&key("f"), b"abc"));
    let good = FakeTracker::start(&[&storage.fake.address]);
    let answer = good.answer(&TrackerRequest::Groups);
    let dripping = Fake::start(move |_, stream| {
        while read_request::<TrackerRequest>(stream).is_some() {
            let head = Head::reply(tracker::REPLY, answer.len() as u64).encode();
            drip(stream, &[&head[..], &answer].concat(), PAUSE);
        }
    });
    let mut config = config(&good);
    config.trackers.insert(0, dripping.address.clone());
    for _ in 0..4 {
        let client = Client::new(config.clone());
        let began = Instant::now();
        client.cluster().unwrap();
        assert!(began.elapsed() < Duration::from_millis(2900));
    }
}

#[test]
fn a_silent_storage_or_idserver_costs_a_question_little() {
    let memory = memory_with(&key("f"), b"abc");
    let silent_storage = silent::<StorageRequest>();
    let good = FakeStorage::good(&memory);
    let tracker = FakeTracker::start(&[&silent_storage.address, &good.fake.address]);
    let mut config = config(&tracker);
    config.connection.io_timeout = Duration::from_secs(30);
    let client = || Client::new(config.clone());
    let began = Instant::now();
    assert_eq!(client().stat(&key("f")).unwrap().size, 3);
    assert_eq!(read_all(&client()).unwrap(), b"abc");
    client().delete(&key("f")).unwrap();
    assert!(began.elapsed() < 3 * Duration::from_secs(2) + SLACK);

    let silent_ids = silent::<IdRequest>();
    let good_ids = Fake::start(|_, stream| {
        while read_request::<IdRequest>(stream).is_some() {
            reply(stream, idserver::REPLY, &7_u64.to_be_bytes());
        }
    });
    let both = vec![silent_ids.address.clone(), good_ids.address.clone()];
    for _ in 0..4 {
        let pools = ConnectionPool::new(config.connection.clone(), config.pool.clone());
        let ids = IdClient::new(both.clone(), pools.into());
        let began = Instant::now();
        assert_eq!(ids.next_id(&IdKey::new("k").unwrap()).unwrap(), 7);
        assert!(began.elapsed() < Duration::from_secs(2) + SLACK);
    }
}

#[test]
fn a_slow_storage_has_the_whole_time_when_no_other_answers() {
    let memory = memory_with(&key("f"), b"abc");
    // Slower than the short time, and the only one that answers.
    let slow = Fake::start({
        let memory = memory.clone();
        move |_, stream| {
            while read_request::<StorageRequest>(stream).is_some() {
                std::thread::park_timeout(Duration::from_millis(2500));
                let size = memory.get(&key("f")).unwrap().len() as u64;
                let head = Head::reply(storage::REPLY, 8).encode();
                let bytes = [&head[..], &storage::encode_file_size(size)].concat();
                let mut stream: &TcpStream = stream;
                let _ = stream.write_all(&bytes);
            }
        }
    });
    let refusing = FakeStorage::start(&memory, |_, _| Act::Refuse(proto::ErrorCode::Busy));
    let tracker = FakeTracker::start(&[&slow.address, &refusing.fake.address]);
    let mut config = config(&tracker);
    config.connection.io_timeout = DEADLINE;
    let client = Client::new(config);
    assert_eq!(client.file_size(&key("f")).unwrap(), 3);
}

#[test]
fn a_silent_server_is_a_time_out() {
    let silent = silent::<StorageRequest>();
    let tracker = FakeTracker::start(&[&silent.address]);
    let error = Client::new(config(&tracker)).stat(&key("f")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[test]
fn a_storage_that_is_silent_about_its_socket_holds_nobody() {
    let memory = memory_with(&key("f"), &content(1000));
    let silent = FakeStorage::start_with_socket(&memory, Act::FallSilent, |_, _| Act::Serve);
    let good = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&silent, &good]);
    let began = Instant::now();
    let mut opening = client
        .begin_open(&key("f"), RangeSpec::WHOLE, 1000)
        .unwrap();
    assert!(!opening.has_answer());
    assert!(opening.stream().is_some() && began.elapsed() < PAUSE);
    opening.abandon_stream();
    let (_, mut download) = opening.finish().unwrap();
    let mut bytes = Vec::new();
    download.read_to_end(&mut bytes).unwrap();
    assert!(bytes == content(1000));
    assert_eq!(silent.requests(), [""; 0]);
}
