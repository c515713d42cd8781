//! Uploads: stored once, whatever breaks.

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;

use client::{Client, Error, ErrorKind, Uploaded, checksum_of};
use proto::storage::{REPLY, StorageRequest};
use proto::{ErrorCode, Fault, FileKey};
use test_peers::fake::dead_address;
use test_peers::storage::memory_with;
use test_peers::storage::{Act, FakeStorage, Memory};
use test_peers::support::{cluster, content, key};
use test_peers::tracker::FakeTracker;

/// More than the sockets of both ends can hold between them, even with the largest buffers.
const LARGE: usize = 32 << 20;
/// Some pieces.
const LEN: usize = 1_300_000;

fn upload(client: &Client, key: &FileKey, bytes: &[u8]) -> Result<Uploaded, Error> {
    let size = bytes.len() as u64;
    client.upload(key, &mut Cursor::new(bytes), size, &mut |_| ())
}

/// Does the first request in this way, if it is an upload, and all others well.
fn first(act: Act) -> impl Fn(usize, &StorageRequest) -> Act + Send + Sync {
    move |number, _| match number {
        0 => act.clone(),
        _ => Act::Serve,
    }
}

#[test]
fn any_size_is_stored_and_progress_is_told() {
    let memory = Arc::new(Memory::default());
    let storage = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&storage]);
    for len in [0, 1, (512 << 10) - 1, 512 << 10, (512 << 10) + 1, LEN] {
        let (key, bytes) = (key(&format!("f{len}")), content(len));
        let mut told = Vec::new();
        let size = len as u64;
        let mut progress = |n| told.push(n);
        let uploaded = client
            .upload(&key, &mut Cursor::new(&bytes), size, &mut progress)
            .unwrap();
        let checksum = checksum_of(&mut bytes.as_slice()).unwrap();
        assert_eq!(uploaded, Uploaded { size, checksum });
        assert!(told.is_sorted() && told.last() == Some(&size), "{told:?}");
        assert_eq!(memory.get(&key).unwrap(), bytes);
    }
    assert_eq!(storage.fake.n_connections(), 1);
}

#[test]
fn the_source_is_read_from_where_it_stands() {
    let memory = Arc::new(Memory::default());
    // The first attempt breaks off, so that the source is rewound.
    let storage = FakeStorage::start(&memory, first(Act::CloseAfter(1000)));
    let (_tracker, client) = cluster(&[&storage]);
    let mut source = Cursor::new(content(LEN));
    source.seek(SeekFrom::Start(100)).unwrap();
    let size = LEN as u64 - 100;
    client
        .upload(&key("f"), &mut source, size, &mut |_| ())
        .unwrap();
    assert_eq!(memory.get(&key("f")).unwrap(), content(LEN)[100..]);
    assert_eq!(storage.requests(), ["upload", "upload"]);
}

#[test]
fn a_dead_or_full_storage_is_passed_over() {
    let memory = Arc::new(Memory::default());
    let good = FakeStorage::good(&memory);
    let tracker = FakeTracker::start(&[&dead_address(), &good.fake.address]);
    let client = Client::new(test_peers::support::config(&tracker));
    upload(&client, &key("f0"), &content(LEN)).unwrap();
    for (n, code) in [
        ErrorCode::NoSpace,
        ErrorCode::ReadOnly,
        ErrorCode::Busy,
        ErrorCode::Unavailable,
        ErrorCode::Unknown,
    ]
    .into_iter()
    .enumerate()
    {
        let full = FakeStorage::start(&memory, move |_, _| Act::Refuse(code));
        let (_tracker, client) = cluster(&[&full, &good]);
        upload(&client, &key(&format!("g{n}")), &content(LEN)).unwrap();
        let (_tracker, client) = cluster(&[&full]);
        let result = upload(&client, &key("h"), &content(LARGE));
        let expected = match code {
            ErrorCode::NoSpace => ErrorKind::NoSpace,
            ErrorCode::ReadOnly => ErrorKind::ReadOnly,
            ErrorCode::Busy => ErrorKind::Busy,
            ErrorCode::Unavailable => ErrorKind::Unavailable,
            _ => ErrorKind::Unknown,
        };
        assert_eq!(result.unwrap_err().kind(), expected);
    }
    assert_eq!(memory.n_stored(), 6);
}

#[test]
fn an_early_refusal_stops_the_content() {
    for code in [
        ErrorCode::Exists,
        ErrorCode::Forbidden,
        ErrorCode::BadRequest,
    ] {
        let memory = Arc::new(Memory::default());
        let storage = FakeStorage::start(&memory, move |_, _| Act::Refuse(code));
        let (_tracker, client) = cluster(&[&storage]);
        let error = upload(&client, &key("f"), &content(LARGE)).unwrap_err();
        assert!(matches!(error, Error::Fault { .. }), "{error}");
        assert_eq!(storage.requests(), ["upload"]);
        let drained = storage.stop();
        assert!(
            drained[0] < LARGE as u64 / 2,
            "{drained:?} bytes were pushed"
        );
    }
}

#[test]
fn a_file_that_exists_is_an_error_and_left_alone() {
    let memory = memory_with(&key("f"), b"other");
    let storage = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&storage]);
    for bytes in [&b"mine"[..], b"other"] {
        let error = upload(&client, &key("f"), bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Exists);
    }
    assert_eq!(memory.get(&key("f")).unwrap(), b"other");
}

#[test]
fn a_storage_that_stores_and_dies_has_stored_once() {
    for len in [0, 10, LEN] {
        let memory = Arc::new(Memory::default());
        let dying = FakeStorage::start(&memory, first(Act::ServeAndClose));
        let good = FakeStorage::good(&memory);
        let (_tracker, client) = cluster(&[&dying, &good]);
        upload(&client, &key("f"), &content(len)).unwrap();
        assert_eq!(good.requests(), ["upload"]);
        assert_eq!(dying.requests(), ["upload", "stat"]);
        assert_eq!(
            (memory.n_stored(), memory.get(&key("f")).unwrap().len()),
            (1, len)
        );
    }
}

#[test]
fn a_single_storage_that_stores_and_closes_has_stored_once() {
    let memory = Arc::new(Memory::default());
    let storage = FakeStorage::start(&memory, first(Act::ServeAndClose));
    let (_tracker, client) = cluster(&[&storage]);
    upload(&client, &key("f"), &content(LEN)).unwrap();
    assert_eq!(storage.requests(), ["upload", "upload", "stat"]);
    assert_eq!(memory.n_stored(), 1);
}

#[test]
fn a_cpp_storage_says_unknown_for_exists_and_knows_no_stat() {
    let memory = Arc::new(Memory::default());
    let dying = FakeStorage::start(&memory, first(Act::ServeAndClose));
    let cpp = FakeStorage::start(&memory, |_, request| match request {
        StorageRequest::FileSize(_) => Act::Serve,
        _ => Act::RefuseAndClose(ErrorCode::Unknown),
    });
    let (_tracker, client) = cluster(&[&dying, &cpp]);
    upload(&client, &key("f"), &content(10)).unwrap();
    assert_eq!(memory.n_stored(), 1);
}

#[test]
fn a_silent_storage_that_stored_is_believed_by_its_checksum() {
    let memory = Arc::new(Memory::default());
    let silent = FakeStorage::start(&memory, first(Act::ServeAndFallSilent));
    let (_tracker, client) = cluster(&[&silent]);
    upload(&client, &key("f"), &content(LEN)).unwrap();
    assert_eq!(silent.requests(), ["upload", "stat"]);
    assert_eq!(memory.n_stored(), 1);
}

#[test]
fn other_content_under_the_same_id_is_not_taken_for_ours() {
    let other = vec![0; LEN];
    let memory = memory_with(&key("f"), &other);
    let dying = FakeStorage::start(&memory, first(Act::CloseAfter(LEN as u64)));
    let good = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&dying, &good]);
    let error = upload(&client, &key("f"), &content(LEN)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exists);
    assert_eq!(memory.get(&key("f")).unwrap(), other);
}

#[test]
fn what_no_storage_can_tell_is_unknown() {
    let memory = Arc::new(Memory::default());
    // Everything but an upload fails, so nobody can look.
    let broken = FakeStorage::start(&memory, |_, request| match request {
        StorageRequest::Upload(_) => Act::ServeAndClose,
        _ => Act::RefuseLate(ErrorCode::Unavailable),
    });
    let (_tracker, client) = cluster(&[&broken]);
    match upload(&client, &key("f"), &content(10)).unwrap_err() {
        Error::OutcomeUnknown { key: of, .. } => assert_eq!(of, key("f")),
        other => panic!("{other}"),
    }
}

#[test]
fn silence_with_the_whole_content_stays_unknown_when_the_file_is_not_there_yet() {
    let memory = Arc::new(Memory::default());
    let silent = FakeStorage::start(&memory, first(Act::FallSilent));
    let (_tracker, client) = cluster(&[&silent]);
    let error = upload(&client, &key("f"), &content(10)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
}

#[test]
fn a_broken_upload_of_which_nothing_is_found_is_a_plain_failure() {
    let memory = Arc::new(Memory::default());
    let storage = FakeStorage::start(&memory, |_, request| match request {
        StorageRequest::Upload(_) => Act::CloseAfter(1000),
        _ => Act::Serve,
    });
    let (_tracker, client) = cluster(&[&storage]);
    let error = upload(&client, &key("f"), &content(LEN)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network, "{error}");
    assert_eq!(storage.requests(), ["upload", "upload", "stat"]);
}

#[test]
fn a_broken_upload_to_a_cpp_storage_that_has_no_such_file_is_a_plain_failure() {
    let missing = Fault::new(ErrorCode::Unknown, "read database fail, fileid: f");
    let missing = missing.encode(REPLY, "vm");
    let cpp = FakeStorage::start(
        &Arc::new(Memory::default()),
        move |_, request| match request {
            StorageRequest::Upload(_) => Act::CloseAfter(1000),
            StorageRequest::Stat(_) => Act::RefuseAndClose(ErrorCode::Unknown),
            _ => Act::Raw(missing.clone()),
        },
    );
    let (_tracker, client) = cluster(&[&cpp]);
    let error = upload(&client, &key("f"), &content(LEN)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network, "{error}");
}

#[test]
fn a_stale_connection_does_not_fail_an_upload() {
    let memory = Arc::new(Memory::default());
    let storage = FakeStorage::start(&memory, |number, _| match number {
        1 => Act::Close,
        _ => Act::Serve,
    });
    let (_tracker, client) = cluster(&[&storage]);
    upload(&client, &key("f"), &content(10)).unwrap();
    upload(&client, &key("g"), &content(10)).unwrap();
    assert_eq!((memory.n_stored(), storage.fake.n_connections()), (2, 2));
}

#[test]
fn a_source_of_another_size_is_an_error_and_nothing_is_stored() {
    let memory = Arc::new(Memory::default());
    let storage = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&storage]);
    for (len, size) in [
        (10, 11),
        (10, 9),
        (1, 0),
        (0, 1),
        (LEN, LEN + 1),
        (LEN, LEN - 1),
    ] {
        let mut source = Cursor::new(content(len));
        let result = client.upload(&key("f"), &mut source, size as u64, &mut |_| ());
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Source, "{error}");
        assert!(matches!(error, Error::SourceSize { announced, .. } if announced == size as u64));
    }
    storage.stop();
    assert_eq!(memory.n_stored(), 0);
}

#[test]
fn a_source_that_fails_is_an_error_of_its_own() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("bad sector"))
        }
    }
    impl Seek for Failing {
        fn seek(&mut self, _: SeekFrom) -> std::io::Result<u64> {
            Ok(0)
        }
    }
    let memory = Arc::new(Memory::default());
    let storage = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&storage]);
    let result = client.upload(&key("f"), &mut Failing, 10, &mut |_| ());
    assert!(matches!(result.unwrap_err(), Error::Source(_)));
    let result = client.upload(&key("f"), &mut Failing, u64::MAX, &mut |_| ());
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Source);
}

/// Reads other bytes each time it is read from the start.
struct Unsteady(Cursor<Vec<u8>>);

impl Read for Unsteady {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buf)
    }
}

impl Seek for Unsteady {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.get_mut()[0] += 1;
        self.0.seek(to)
    }
}

#[test]
fn all_attempts_send_the_same_bytes() {
    let memory = Arc::new(Memory::default());
    let storage = FakeStorage::start(&memory, first(Act::RefuseLate(ErrorCode::Busy)));
    let good = FakeStorage::good(&memory);
    let (_tracker, client) = cluster(&[&storage, &good]);
    let mut source = Unsteady(Cursor::new(content(LEN)));
    let error = client
        .upload(&key("f"), &mut source, LEN as u64, &mut |_| ())
        .unwrap_err();
    assert!(
        error.chain().contains("not that of an earlier attempt"),
        "{}",
        error.chain()
    );
    assert_eq!(memory.get(&key("f")), None);
}
