//! Disks that do not answer at all.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use proto::ErrorCode;
use proto::storage::StorageRequest;
use test_disk::FaultyDisk;

use super::node::{Node, content, download_of, faulty_disk, folder};
use super::support::{Client, code, key, upload_head};
use test_support::until;

/// More than the kernel's socket buffers hold: who does not read is waited for.
const LARGE: usize = 24 << 20;
/// Of the 8 workers 6 are let in to disks, and to one of two at most twice as many as are left.
const CAUGHT_MAX: usize = 4 + 2;

fn on_two_disks() -> (Node, FaultyDisk) {
    let folder = folder();
    let disk = faulty_disk(&folder, 256 << 20);
    (Node::start(folder, &["a", "b"], "0B"), disk)
}

/// Asks for a file and reads the beginning only.
fn slow_reader(node: &Node, file: &str) -> Client {
    let mut client = node.client();
    client.0.write_all(&download_of(file)).unwrap();
    client.0.read_exact(&mut [0; 10]).unwrap();
    client
}

/// Reads all that still comes.
fn read_on(mut client: Client) {
    let mut rest = vec![0; 1 << 20];
    while matches!(client.0.read(&mut rest), Ok(n) if n > 0) {}
}

/// The longest of many requests for files on the disk that is well.
fn longest(node: &Node, file: &str, n: usize) -> Duration {
    let mut client = node.client();
    let mut ask = || {
        let began = Instant::now();
        assert_eq!(client.download(file, 0, 1000).unwrap(), content(1000));
        assert_eq!(client.size(file).unwrap(), LARGE as u64);
        began.elapsed()
    };
    (0..n).map(|_| ask()).max().unwrap()
}

/// Clients that have asked for the size of a file and do not read the reply.
fn askers(node: &Node, file: &str, n: usize) -> Vec<Client> {
    let ask = |mut client: Client| {
        client.0.write_all(&ask_size(file)).unwrap();
        client
    };
    (0..n).map(|_| ask(node.client())).collect()
}

/// The longest of many requests for a file on the disk that hangs; all are refused.
fn longest_refusal(node: &Node, file: &str, n: usize) -> Duration {
    let refuse = |n: usize| {
        let began = Instant::now();
        let mut client = node.client();
        let refused = match n % 3 {
            0 => client.size(file).map(drop),
            1 => client.download(file, 0, 0).map(drop),
            _ => client.delete(file),
        };
        assert_eq!(code(refused), ErrorCode::Unavailable);
        began.elapsed()
    };
    (0..n).map(refuse).max().unwrap()
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn a_disk_that_hangs_takes_few_workers_and_its_own_files_only() {
    let (node, disk) = on_two_disks();
    let [on_a, on_b] = node.one_on_each(LARGE);
    let readers: Vec<_> = (0..40).map(|_| slow_reader(&node, &on_a)).collect();
    let mut upload = node.client();
    upload
        .0
        .write_all(&upload_head("begun", LARGE as u64))
        .unwrap();

    disk.hang();
    let hung_at = Instant::now();
    let readers: Vec<_> = readers
        .into_iter()
        .map(|reader| std::thread::spawn(move || read_on(reader)))
        .collect();
    let askers = askers(&node, &on_a, 8);
    let unnoticed = longest(&node, &on_b, 20);
    until("it is noticed", || node.log().contains(" hangs, with "));
    let noticed = hung_at.elapsed();

    let refused = longest_refusal(&node, &on_a, 50);
    let beside = longest(&node, &on_b, 200);
    for n in 0..4 {
        node.client()
            .upload(&format!("new{n}"), b"content")
            .unwrap();
    }
    assert!(
        node.tracker.all_take_uploads() && node.tracker.all_serve_downloads(),
        "the other disk serves"
    );
    let caught = n_caught(&node.log());
    assert!((1..=CAUGHT_MAX).contains(&caught), "{caught}");
    eprintln!(
        "hung: other disk at most {unnoticed:?} until noticed after {noticed:?} with {caught} \
         caught; then refused in at most {refused:?}, other disk {beside:?}"
    );
    drop((upload, askers));

    disk.answer();
    let back = until("it is back", || node.client().size(&on_a).is_ok());
    assert_eq!(node.client().download(&on_a, 0, 0).unwrap(), content(LARGE));
    eprintln!("hung: back {back:?} after the disk");
    readers
        .into_iter()
        .for_each(|reader| reader.join().unwrap());
    until("what was begun is gone", || {
        node.files("a").len() + node.files("b").len() == 2 + 4
    });
    drop((disk, node));
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn a_storage_whose_disks_all_hang_says_so() {
    let folder = folder();
    let disks = ["a", "b"].map(|at| FaultyDisk::mount(&folder.path().join(at), 64 << 20).unwrap());
    let node = Node::start(folder, &["a", "b"], "0B");
    let [on_a, on_b] = node.one_on_each(1000);
    disks.iter().for_each(FaultyDisk::hang);
    // Idle disks are not written to; the first requests make it known.
    let asked: Vec<_> = [&on_a, &on_b]
        .map(|file| {
            let mut client = node.client();
            client.0.write_all(&ask_size(file)).unwrap();
            client
        })
        .into();
    let told = until("the tracker hears of it", || {
        node.tracker.none_takes_uploads() && !node.tracker.all_serve_downloads()
    });
    until("both are known to hang", || {
        node.log().matches(" hangs, with ").count() == 2
    });
    for file in [&on_a, &on_b] {
        assert_eq!(code(node.client().size(file)), ErrorCode::Unavailable);
    }
    assert_eq!(
        code(node.client().upload("new", b"x")),
        ErrorCode::Unavailable
    );
    disks.iter().for_each(FaultyDisk::answer);
    let back = until("the tracker hears of that, too", || {
        node.tracker.all_take_uploads() && node.tracker.all_serve_downloads()
    });
    for mut client in asked {
        assert!(client.receive().is_ok());
    }
    node.client().upload("new", b"x").unwrap();
    eprintln!("all hung: the tracker was told after {told:?}, and {back:?} after they answered");
    drop((disks, node));
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn a_disk_that_hangs_stops_the_deletions_of_its_own_files_only() {
    let (node, disk) = on_two_disks();
    let [on_a, on_b] = node.one_on_each(1000);
    // As a crash between the two steps of a deletion leaves them.
    let connection = rusqlite::Connection::open(node.path("storage.db")).unwrap();
    let sql = "UPDATE t_file_02 SET status = 1 WHERE id = ?1";
    for file in [&on_a, &on_b] {
        assert_eq!(connection.execute(sql, [file]).unwrap(), 1);
    }
    disk.hang();
    // An upload that meets such a row starts the job of deletions. One of two uploads goes to the other disk.
    let uploads = [0, 1].map(|_| {
        let mut client = node.client();
        client.0.write_all(&upload_head(&on_b, 1)).unwrap();
        client.0.write_all(b"x").unwrap();
        client
    });
    until("the deletion on the other disk", || {
        node.log()
            .contains(&format!("finished the deletion of tnvideo/tnv001/{on_b}"))
    });
    assert!(node.files("b").iter().all(|file| !file.ends_with(&on_b)));
    disk.answer();
    until("the deletion on the disk that hung", || {
        node.log()
            .contains(&format!("finished the deletion of tnvideo/tnv001/{on_a}"))
    });
    drop((uploads, disk, node));
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn a_disk_that_hangs_keeps_no_other_from_being_looked_after() {
    let (node, disk) = on_two_disks();
    let [on_a, _] = node.one_on_each(1000);
    disk.hang();
    let mut asking = node.client();
    asking.0.write_all(&ask_size(&on_a)).unwrap();
    until("it is noticed", || node.log().contains("a hangs, with "));
    let (there, elsewhere) = (node.path("b"), node.path("elsewhere"));
    std::fs::rename(&there, &elsewhere).unwrap();
    until("the other is looked at", || {
        node.log().contains("b is away: ")
    });
    std::fs::rename(&elsewhere, &there).unwrap();
    until("it is looked at again", || {
        node.log().contains("b takes uploads again")
    });
    drop((asking, disk, node));
}

fn ask_size(file: &str) -> Vec<u8> {
    StorageRequest::FileSize(key(file)).encode()
}

/// The number of requests that the disk holds, from the log.
fn n_caught(log: &str) -> usize {
    let said = log.split(" hangs, with ").nth(1).unwrap();
    said.split(' ').next().unwrap().parse().unwrap()
}
