//! Open files that the storage has passed, on disks that hang.

use std::fs::File;
use std::io::Read;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use client::{Client, Download};
use rustix::fs::{Advice, fadvise};
use test_disk::FaultyDisk;
use test_peers::support::config;
use test_peers::tracker::FakeTracker;

use super::node::{Node, content, faulty_disk, folder};
use super::support::key;

/// More than the kernel reads ahead.
const LARGE: usize = 24 << 20;
const PER_DISK: usize = 4;
const READERS: usize = 20;
/// The storage notices the disk within 1 s; then the reader tries all storages for about 2 s.
const ENDED: Duration = Duration::from_secs(20);

fn begin(client: &Client, file: &str) -> Download {
    let mut download = client.download(&key(file)).unwrap();
    let mut start = [0; 1];
    download.read_exact(&mut start).unwrap();
    assert_eq!(start[..], content(1)[..]);
    assert!(download.is_local());
    download
}

/// Removes the files of a disk from the memory of the kernel.
fn evict(node: &Node, path: &str) {
    for file in node.files(path) {
        let file = File::open(file).unwrap();
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    }
}

fn started() -> (Node, FaultyDisk, [String; 2]) {
    let folder = folder();
    let disk = faulty_disk(&folder, 256 << 20);
    let node = Node::start(folder, &["a", "b"], "0B");
    let files = node.one_on_each(LARGE);
    evict(&node, "a");
    (node, disk, files)
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn a_disk_that_hangs_takes_few_readers_of_its_open_files() {
    let (node, disk, [on_a, on_b]) = started();
    let tracker = FakeTracker::start(&[&node.addr.into()]);
    let mut config = config(&tracker);
    config.local_reads.per_disk = PER_DISK;
    let client = Client::new(config);
    let downloads: Vec<_> = (0..READERS).map(|_| begin(&client, &on_a)).collect();

    disk.hang();
    let (ended, results) = mpsc::channel();
    let readers: Vec<_> = downloads
        .into_iter()
        .map(|mut download| {
            let ended = ended.clone();
            thread::spawn(move || {
                let mut rest = Vec::new();
                let read = download.read_to_end(&mut rest).map(|_| rest);
                ended.send(read).unwrap();
            })
        })
        .collect();
    let deadline = Instant::now() + ENDED;
    for _ in PER_DISK..READERS {
        let left = deadline.saturating_duration_since(Instant::now());
        results.recv_timeout(left).unwrap().unwrap_err();
    }
    let mut beside = begin(&client, &on_b);
    let mut rest = Vec::new();
    beside.read_to_end(&mut rest).unwrap();
    assert!(rest[..] == content(LARGE)[1..]);
    let caught = results.recv_timeout(Duration::from_secs(1));
    assert!(caught.is_err(), "the disk hangs");

    disk.answer();
    for _ in 0..PER_DISK {
        let rest = results.recv_timeout(ENDED).unwrap().unwrap();
        assert!(rest[..] == content(LARGE)[1..]);
    }
    readers
        .into_iter()
        .for_each(|reader| reader.join().unwrap());
    drop((disk, node));
}
