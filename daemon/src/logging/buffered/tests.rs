use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::super::target::Facility;
use super::*;

fn counter() -> IntCounter {
    IntCounter::new("lost", "Lines lost.").unwrap()
}

fn open(kind: Kind, path: &Path) -> BufferedLog {
    let target = LogTarget::File(path.to_owned());
    let log = BufferedLog::open(kind, Some(&target), &counter());
    log.unwrap().unwrap()
}

#[test]
fn a_syslog_that_comes_back_is_told_what_it_missed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let form = LineForm::of(Some(&LogTarget::Syslog(Facility::DAEMON)));
    let counter = counter();
    let output = Output::syslog_at(&path);
    let log = BufferedLog::start(Kind::Main, output, form, &counter).unwrap();
    let far = Instant::now() + Duration::from_secs(60);
    let send = |text: &str| {
        let record = format_args!("{text}");
        log.write(Utc::now(), &Record::builder().args(record).build());
        log.flush(far);
    };
    (0..3).for_each(|_| send("lost"));
    assert_eq!(counter.get(), 3);
    let daemon = UnixDatagram::bind(&path).unwrap();
    daemon
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    send("heard");
    let mut lines = Vec::new();
    while lines.len() < 2 {
        let mut buffer = [0; 256];
        let len = daemon.recv(&mut buffer).unwrap();
        lines.push(String::from_utf8_lossy(&buffer[..len]).into_owned());
    }
    for end in [
        "3 lines of this log are lost: No such file or directory (os error 2)",
        "heard",
    ] {
        let end = format!(": {end}");
        assert!(lines.iter().any(|line| line.ends_with(&end)), "{lines:?}");
    }
    assert_eq!(counter.get(), 3);
}

#[test]
fn lines_reach_the_file_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = open(Kind::Access, &path);
    log.push(b"line\n");
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::read(&path).unwrap() != b"line\n" {
        assert!(Instant::now() < deadline, "nothing was written");
        std::thread::yield_now();
    }
}

#[test]
fn what_is_dropped_has_written_its_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = open(Kind::Access, &path);
    let lines: Vec<String> = (0..20_000).map(|i| format!("line {i}\n")).collect();
    for line in &lines {
        log.push(line.as_bytes());
    }
    drop(log);
    assert_eq!(fs::read_to_string(&path).unwrap(), lines.concat());
}

#[test]
fn a_disk_that_stands_still_costs_lines_and_a_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    // A full pipe stands still.
    let pipe = OpenOptions::new().read(true).write(true).open(&path);
    let log = open(Kind::Access, &path);
    let line = [&[b'x'; 99][..], b"\n"].concat();
    let count = 3 * BUFFER_MAX / line.len();
    // More than a pipe holds: with these the thread that writes stands still.
    let first = (128 << 10) / line.len();
    for _ in 0..first {
        log.push(&line);
    }
    let is_full = || {
        let mut fds = [PollFd::new(pipe.as_ref().unwrap(), PollFlags::OUT)];
        poll(&mut fds, Some(&Timespec::default())).unwrap() == 0
    };
    test_support::until("the pipe is full", is_full);
    for _ in first..count {
        log.push(&line);
    }
    let pending = log.shared.pending.lock();
    let (len, lost) = (pending.lines.len(), pending.lost as usize);
    drop(pending);
    assert!(len <= BUFFER_MAX, "{len}");
    assert!((1..count).contains(&lost), "{lost}");
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(pipe.unwrap()).split(b'\n');
        lines
            .take(count - lost)
            .all(|line| line.unwrap() == [b'x'; 99])
    });
    assert!(reader.join().unwrap());
}
