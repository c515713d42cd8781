//! Readers of the client library that read files of a storage from its mount while its peer deletes them.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use client::{Client, ErrorKind};
use proto::FileKey;
use test_peers::support::config;
use test_peers::tracker::FakeTracker;

use super::group::{Group, content};
use super::support::key;

const FILES: usize = 60;
const READERS: usize = 3;
const LEN: usize = 200_000;

/// Reads a file until it is not found. Returns true if a request that began after the deletion got it.
fn read_on(client: &Client, key: &FileKey, is_deleted: &AtomicBool, n_local: &AtomicUsize) -> bool {
    loop {
        let was_deleted = is_deleted.load(Ordering::SeqCst);
        match client.download(key) {
            Ok(_) if was_deleted => return true,
            Ok(mut download) => {
                n_local.fetch_add(usize::from(download.is_local()), Ordering::Relaxed);
                let mut bytes = Vec::new();
                download.read_to_end(&mut bytes).unwrap();
                assert_eq!(bytes.len(), LEN);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                return false;
            }
        }
    }
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out GlusterFS"
)]
fn a_file_is_read_from_the_mount_and_gone_when_the_peer_has_deleted_it() {
    let group = Group::start("local", "");
    let [a, b] = &group.nodes;
    let tracker = FakeTracker::start(&[&b.address()]);
    let mut config = config(&tracker);
    config.local_reads.kept_files = 10;
    let client = Client::new(config);
    let (mut deleter, n_local) = (a.client(), AtomicUsize::new(0));
    for n in 0..FILES {
        let file = format!("f{n}");
        deleter.upload(&file, &content(n, LEN)).unwrap();
        let (key, is_deleted) = (key(&file), AtomicBool::new(false));
        let late = std::thread::scope(|scope| {
            let read = || read_on(&client, &key, &is_deleted, &n_local);
            let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
            // They have the file open by then.
            for _ in 0..10 {
                let mut bytes = Vec::new();
                let mut download = client.download(&key).unwrap();
                download.read_to_end(&mut bytes).unwrap();
                assert!(bytes == content(n, LEN));
            }
            deleter.delete(&file).unwrap();
            is_deleted.store(true, Ordering::SeqCst);
            let late = client.download(&key).is_ok();
            let of_readers = readers.into_iter().map(|reader| reader.join().unwrap());
            of_readers.fold(late, |late, one| late | one)
        });
        assert!(!late, "{file} was served after its deletion");
    }
    let n_local = n_local.into_inner();
    eprintln!("{n_local} local reads of {FILES} files");
    assert!(n_local > 10 * FILES, "{n_local} local reads");
}
