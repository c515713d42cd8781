//! Files whose storage is on the machine of the reader are read from its disk.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use bench::Content;
use rustix::fs::{Advice, fadvise};
use test_cluster::{Layout, Node, Role, proc};
use test_disk::FaultyDisk;
use test_support::http::{Body, get, open};

use crate::support::{Fixture, MIB, PATIENCE, wait_for};

/// More than the kernel buffers for a reader that does not read.
const LARGE: u64 = 48 * MIB;

fn start(storages: u16) -> Fixture {
    let mut layout = Layout::small(storages);
    layout.settings.local_reads = true;
    Fixture::start(&layout)
}

/// Number of lines with this text in the access logs of a role.
fn count(fixture: &Fixture, role: Role, text: &str) -> usize {
    let count = |node| {
        let log = fs::read_to_string(fixture.cluster.plan().access_log(&node)).unwrap();
        log.lines().filter(|line| line.contains(text)).count()
    };
    fixture.nodes(role).into_iter().map(count).sum()
}

/// Waits until so many responses are in the log of httpd; returns the number of those that read from a disk.
fn n_local(fixture: &Fixture, n_all: usize) -> usize {
    let file = "GET /files/";
    wait_for("the access log", || {
        match count(fixture, Role::Httpd, file) {
            n if n == n_all => Ok(()),
            n => Err(format!("{n} lines")),
        }
    });
    count(fixture, Role::Httpd, " local")
}

/// The only stored file.
fn stored(fixture: &Fixture) -> PathBuf {
    let (mut files, _) = fixture.stored();
    assert_eq!(files.len(), 1);
    files.remove(0)
}

/// Removes a stored file from the memory of the kernel.
fn evict(path: &PathBuf) {
    evict_from(path, 0);
}

fn evict_from(path: &PathBuf, offset: u64) {
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    fadvise(&file, offset, None, Advice::DontNeed).unwrap();
}

fn damage(path: &PathBuf, offset: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}

#[test]
fn httpd_and_the_command_line_read_files_of_this_machine_from_its_disk() {
    let fixture = start(2);
    let content = Content::new(1, 3 * MIB);
    let id = fixture.upload(&content).file;
    let url = fixture.url(id.as_str());
    for _ in 0..3 {
        fixture.assert_streams(id.as_str(), &content);
    }
    let mut whole = Vec::new();
    content.clone().read_to_end(&mut whole).unwrap();
    let part = get(&url, Some("bytes=1000-99999"), PATIENCE).unwrap();
    assert_eq!(part.body, whole[1000..100_000]);
    let parts = get(&url, Some("bytes=0-9,2000000-"), PATIENCE).unwrap();
    assert_eq!(parts.status, 206);
    assert!(
        parts
            .body
            .windows(1000)
            .any(|found| found == &whole[2_100_000..2_101_000])
    );
    assert_eq!(n_local(&fixture, 5), 5);
    let copy = fixture.folder_path("copy");
    let download = [
        "download".into(),
        id.to_string(),
        "-o".into(),
        copy.display().to_string(),
    ];
    fixture.tnv().say(download).unwrap();
    assert!(fs::read(&copy).unwrap() == whole);
    wait_for("the access log", || {
        match count(&fixture, Role::Storage, " open ") {
            0 => Err("no file was opened".to_owned()),
            _ => Ok(()),
        }
    });
    assert_eq!(count(&fixture, Role::Storage, " read "), 0);
    let metrics = fixture.nodes(Role::Httpd)[0].status;
    let metrics = fixture.get(&format!("http://{metrics}/metrics"), None);
    let local = metrics
        .text()
        .lines()
        .find(|line| line.starts_with("tnv_http_local_bytes_total"));
    let bytes: u64 = local.unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    assert!(bytes >= 3 * content.size(), "{bytes}");
}

#[test]
fn a_process_of_another_user_gets_no_open_file() {
    let fixture = start(1);
    let content = Content::new(2, MIB);
    let id = fixture.upload(&content).file;
    let tracker = fixture.cluster.addresses(Role::Tracker)[0].to_string();
    // Programs below the folder of root would not be found.
    let program = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    fs::copy(fixture.cluster.binaries().tnv(), &program).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--clear-groups"])
        .arg(&program)
        .args([
            "--trackers",
            &tracker,
            "--user",
            "tnv001",
            "download",
            id.as_str(),
            "-o",
            "-",
        ])
        .env_clear()
        .current_dir("/")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    content.clone().compare(&mut &output.stdout[..]).unwrap();
    wait_for("the access log", || {
        match count(&fixture, Role::Storage, " read ") {
            1 => Ok(()),
            n => Err(format!("{n} lines")),
        }
    });
    assert_eq!(count(&fixture, Role::Storage, " open "), 0);
}

#[test]
fn a_deleted_file_is_not_served_from_an_open_one() {
    let fixture = start(2);
    for n in 0..20 {
        let content = Content::new(n, 10_000);
        let key = fixture.upload(&content);
        fixture.assert_streams(key.file.as_str(), &content);
        fixture.client().delete(&key).unwrap();
        let gone = get(&fixture.url(key.file.as_str()), None, PATIENCE).unwrap();
        assert_eq!(gone.status, 404);
    }
    assert_eq!(n_local(&fixture, 40), 20);
}

#[test]
fn bytes_that_are_not_in_memory_come_from_a_storage() {
    let fixture = start(2);
    let content = Content::new(3, LARGE);
    let id = fixture.upload(&content).file;
    let path = stored(&fixture);
    // The first response is compared with the checksum; the second one needs no copy of the content.
    for _ in 0..2 {
        let (answer, mut body) = open(&fixture.url(id.as_str()), None, PATIENCE).unwrap();
        assert_eq!(answer.status, 200);
        let mut start = vec![0; MIB as usize];
        body.read_exact(&mut start).unwrap();
        evict(&path);
        content
            .clone()
            .compare(&mut start.chain(&mut body))
            .unwrap();
        fixture.assert_streams(id.as_str(), &content);
    }
    // The others begin with bytes that were evicted.
    assert!(n_local(&fixture, 4) >= 2);
    assert_ne!(count(&fixture, Role::Storage, " read "), 0);
}

#[test]
fn an_open_file_outlives_its_storage_and_is_closed_without_requests() {
    let mut fixture = start(1);
    let content = Content::new(4, LARGE);
    let id = fixture.upload(&content).file;
    let (_, mut body) = open(&fixture.url(id.as_str()), None, PATIENCE).unwrap();
    let mut start = vec![0; MIB as usize];
    body.read_exact(&mut start).unwrap();
    let storage = fixture.nodes(Role::Storage).remove(0);
    fixture.cluster.kill(&storage).unwrap();
    content
        .clone()
        .compare(&mut start.chain(&mut body))
        .unwrap();
    let httpd = fixture.nodes(Role::Httpd).remove(0);
    let (pid, store) = (fixture.pid(&httpd), fixture.store());
    wait_for("the file to be closed", || {
        match proc::open_files(pid, &store) {
            open if open.is_empty() => Ok(()),
            open => Err(format!("{open:?}")),
        }
    });
    // The socket of the killed storage is replaced.
    fixture.cluster.start_node(&storage).unwrap();
    fixture.cluster.wait_ready().unwrap();
    // After a failure of the socket httpd uses TCP for a while.
    let before = count(&fixture, Role::Httpd, " local");
    wait_for("an open file of the new process", || {
        let answer = get(&fixture.url(id.as_str()), Some("bytes=0-9"), PATIENCE);
        match count(&fixture, Role::Httpd, " local") {
            n if n > before + 1 => Ok(()),
            n => Err(format!("{n} local responses, {before} before: {answer:?}")),
        }
    });
    fixture.assert_streams(id.as_str(), &content);
}

/// Reads the rest of a response. True if it is complete.
fn is_complete(mut body: Body, content: &Content) -> bool {
    let mut rest = Vec::new();
    let read = body.read_to_end(&mut rest);
    read.is_ok() && rest.len() as u64 + 1 == content.size()
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out disks of FUSE"
)]
fn a_disk_that_hangs_holds_a_quarter_of_the_workers_of_httpd() {
    const READERS: usize = 40;
    // Of 64 workers.
    const HELD: usize = 16;
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store/group001");
    fs::create_dir_all(&store).unwrap();
    let disk = FaultyDisk::mount(&store, 256 * MIB).unwrap();
    let mut layout = Layout::small(1);
    layout.settings.local_reads = true;
    let mut fixture = Fixture::start_in(&layout, folder);
    // Dropped before the processes that it may hold.
    let disk = disk;
    let content = Content::new(6, LARGE);
    let id = fixture.upload(&content).file;
    let url = fixture.url(id.as_str());
    fixture.assert_streams(id.as_str(), &content);
    let begin = || {
        let (_, mut body) = open(&url, None, PATIENCE).unwrap();
        body.read_exact(&mut [0]).unwrap();
        body
    };
    let bodies: Vec<_> = (0..READERS).map(|_| begin()).collect();
    evict(&stored(&fixture));

    disk.hang();
    let (ended, results) = mpsc::channel();
    let readers: Vec<_> = bodies
        .into_iter()
        .map(|body| {
            let (ended, content) = (ended.clone(), content.clone());
            thread::spawn(move || ended.send(is_complete(body, &content)).unwrap())
        })
        .collect();
    for _ in HELD..READERS {
        assert!(!results.recv_timeout(PATIENCE).unwrap(), "the disk hangs");
    }
    let began = Instant::now();
    let other = get(&fixture.url("unknown"), None, PATIENCE).unwrap();
    assert_eq!(other.status, 404);
    assert!(began.elapsed() < Duration::from_secs(2));

    disk.answer();
    for reader in readers {
        reader.join().unwrap();
    }
    wait_for("the disk to answer", || {
        match get(&url, Some("bytes=0-9"), PATIENCE).unwrap().status {
            206 => Ok(()),
            status => Err(status.to_string()),
        }
    });
    fixture.assert_streams(id.as_str(), &content);
    fixture.cluster.stop().unwrap();
    drop(disk);
}

#[test]
fn the_rest_of_a_verified_file_is_compared_if_another_storage_sends_it() {
    let mut fixture = start(2);
    let content = Content::new(7, LARGE);
    let id = fixture.upload(&content).file;
    let (url, path) = (fixture.url(id.as_str()), stored(&fixture));
    fixture.assert_streams(id.as_str(), &content);
    let (_, mut body) = open(&url, None, PATIENCE).unwrap();
    let mut sent = vec![0; MIB as usize];
    body.read_exact(&mut sent).unwrap();
    wait_for("the access log", || {
        match count(&fixture, Role::Storage, " open ") {
            0 => Err("no file was opened".to_owned()),
            _ => Ok(()),
        }
    });
    let opened = |node: &Node| {
        let log = fs::read_to_string(fixture.cluster.plan().access_log(node)).unwrap();
        log.contains(" open ")
    };
    let mut nodes = fixture.nodes(Role::Storage).into_iter();
    let storage = nodes.find(opened).unwrap();
    fixture.cluster.kill(&storage).unwrap();
    // The bytes that were sent stay in memory; the other storage sends the rest.
    damage(&path, LARGE - 1000);
    evict_from(&path, LARGE / 2);
    let _ = body.read_to_end(&mut sent);
    let n = sent.len() as u64;
    assert!(n > LARGE / 2 && n < LARGE, "{n} bytes");
}

#[test]
fn a_damaged_file_is_never_sent_to_its_end() {
    let fixture = start(1);
    let content = Content::new(5, 3 * MIB);
    let id = fixture.upload(&content).file;
    damage(&stored(&fixture), MIB);
    for _ in 0..2 {
        let (_, mut body) = open(&fixture.url(id.as_str()), None, PATIENCE).unwrap();
        let mut sent = Vec::new();
        let _ = body.read_to_end(&mut sent);
        assert!((sent.len() as u64) < content.size(), "{} bytes", sent.len());
    }
}
