//! A log whose lines are gathered in memory and written by a thread of its own, many at once if there
//! are many. Whoever has a line never waits for the disk: one that stands still costs lines.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::LogThrottle;
use base::thread::{self, Thread};
use chrono::Utc;
use log::{error, warn};
use net::timestamp;
use parking_lot::{Condvar, Mutex};

use super::LogError;
use super::output::{Lost, Output};
use crate::metrics::IntCounter;

/// Lines of the access log are written when there are so many bytes of them,
const WRITE_AT: usize = 64 << 10;
/// or after this time: what a crash may lose.
const WRITE_AFTER: Duration = Duration::from_secs(1);
/// Most bytes that are kept for a disk that stands still; further lines are lost.
const KEPT_MAX: usize = 8 << 20;
/// How long a stop waits for what is still to be written.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Which log it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Each line is written at once. That lines were lost is told in the log itself.
    Main,
    /// Lines are gathered. That some were lost is told in the main log: these are for programs.
    Access,
}

/// The log, and the lines on their way to it. Dropping it writes them.
#[derive(Debug)]
pub(super) struct Buffered {
    kind: Kind,
    shared: Arc<Shared>,
    /// Absent only while this is dropped.
    writer: Option<Thread>,
}

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    /// There is something to do for the writer at once.
    due: Condvar,
    /// The writer has done what it knew of.
    done: Condvar,
}

/// What the writer is to do.
#[derive(Debug, Default)]
struct Pending {
    lines: Vec<u8>,
    /// The file is to be opened anew behind these lines.
    reopen: bool,
    /// Lines that found no room since the writer looked.
    lost: u64,
    /// Somebody waits for the end of the next round that begins.
    hurry: bool,
    ending: bool,
    /// Rounds of the writer that have begun, and ended.
    begun: u64,
    ended: u64,
}

impl Buffered {
    /// Counts lost lines in `lost`.
    pub(super) fn open(kind: Kind, path: &Path, lost: &IntCounter) -> Result<Buffered, LogError> {
        Buffered::start(kind, Output::open(path)?, lost)
    }

    pub(super) fn stderr(lost: &IntCounter) -> Result<Buffered, LogError> {
        Buffered::start(Kind::Main, Output::stderr(), lost)
    }

    fn start(kind: Kind, output: Output, lost: &IntCounter) -> Result<Buffered, LogError> {
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            kind,
            shared: Arc::clone(&shared),
            output,
            losses: Losses::new(lost),
            seldom: LogThrottle::default(),
        };
        let name = match kind {
            Kind::Main => "log",
            Kind::Access => "access-log",
        };
        let writer = thread::spawn(name, move || writer.run());
        Ok(Buffered {
            kind,
            shared,
            writer: Some(writer.map_err(LogError::Thread)?),
        })
    }

    /// Adds a line, which ends in a line feed.
    pub(super) fn push(&self, line: &[u8]) {
        let mut pending = self.shared.pending.lock();
        let before = pending.lines.len();
        if before + line.len() > KEPT_MAX {
            pending.lost += 1;
            return;
        }
        pending.lines.extend_from_slice(line);
        if before < self.kind.write_at() && pending.is_due(self.kind) {
            self.shared.due.notify_one();
        }
    }

    /// Waits until every line so far is written, but not beyond `deadline`: the disk may stand still.
    pub(super) fn flush(&self, deadline: Instant) {
        let mut pending = self.shared.pending.lock();
        pending.hurry = true;
        self.shared.due.notify_one();
        let round = pending.begun + 1;
        while pending.ended < round {
            let waited = self.shared.done.wait_until(&mut pending, deadline);
            if waited.timed_out() {
                return;
            }
        }
    }

    /// Has the writer go on in a new file of the same name. Does not wait for it.
    pub(super) fn reopen(&self) {
        let mut pending = self.shared.pending.lock();
        pending.reopen = true;
        pending.hurry = true;
        self.shared.due.notify_one();
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        self.shared.pending.lock().ending = true;
        self.shared.due.notify_one();
        // One that hangs at its disk is left behind.
        drop(thread::join_until(
            self.writer.take(),
            Instant::now() + PATIENCE,
        ));
    }
}

impl Kind {
    /// How many bytes are due at once.
    fn write_at(self) -> usize {
        match self {
            Kind::Main => 1,
            Kind::Access => WRITE_AT,
        }
    }
}

impl Pending {
    fn is_due(&self, kind: Kind) -> bool {
        self.lines.len() >= kind.write_at() || self.hurry || self.ending
    }
}

/// Lines that were lost and are to be told of when the log can be written again.
#[derive(Debug)]
pub(super) struct Losses {
    counter: IntCounter,
    untold: u64,
    why: String,
}

impl Losses {
    pub(super) fn new(counter: &IntCounter) -> Losses {
        Losses {
            counter: counter.clone(),
            untold: 0,
            why: String::new(),
        }
    }

    pub(super) fn add(&mut self, lines: u64, why: impl ToString) {
        if lines > 0 {
            self.counter.inc_by(lines);
            self.untold += lines;
            self.why = why.to_string();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.untold == 0
    }

    /// What to say of them in the log that they are missing from.
    pub(super) fn text(&self) -> String {
        let Losses { untold, why, .. } = self;
        format!("{untold} lines of this log are lost: {why}")
    }

    pub(super) fn told(&mut self) {
        self.untold = 0;
    }
}

/// The writer's thread.
struct Writer {
    kind: Kind,
    shared: Arc<Shared>,
    output: Output,
    losses: Losses,
    seldom: LogThrottle<()>,
}

/// What a round of the writer does.
struct Round {
    reopen: bool,
    ending: bool,
}

impl Writer {
    fn run(mut self) {
        let mut lines = Vec::new();
        loop {
            let round = self.begin(&mut lines);
            self.tell_losses(round.ending);
            if let Err(Lost { lines, why }) = self.output.write(&lines) {
                self.losses.add(lines, why);
            }
            lines.clear();
            lines.shrink_to(2 * WRITE_AT);
            if round.reopen {
                self.reopen();
            }
            self.shared.pending.lock().ended += 1;
            self.shared.done.notify_all();
            if round.ending {
                return;
            }
        }
    }

    /// Waits for what is to be done.
    fn begin(&mut self, lines: &mut Vec<u8>) -> Round {
        let mut pending = self.shared.pending.lock();
        if !pending.is_due(self.kind) {
            self.shared.due.wait_for(&mut pending, WRITE_AFTER);
        }
        std::mem::swap(&mut pending.lines, lines);
        let lost = std::mem::take(&mut pending.lost);
        self.losses.add(lost, "its disk was too slow");
        pending.hurry = false;
        pending.begun += 1;
        Round {
            reopen: std::mem::take(&mut pending.reopen),
            ending: pending.ending,
        }
    }

    /// Tells of lost lines; what cannot be told yet is told later.
    fn tell_losses(&mut self, ending: bool) {
        if self.losses.is_empty() || (self.seldom.due(()).is_none() && !ending) {
            return;
        }
        match self.kind {
            Kind::Main => {
                let (time, text) = (timestamp(Utc::now()), self.losses.text());
                let line = format!("{time} WARN  {}: {text}\n", module_path!());
                if self.output.write(line.as_bytes()).is_err() {
                    return;
                }
            }
            Kind::Access if self.output.is_failing() && !ending => return,
            Kind::Access => {
                let Losses { untold, why, .. } = &self.losses;
                warn!("{untold} lines of the access log are lost: {why}");
            }
        }
        self.losses.told();
    }

    /// Goes on in a file of the same name, or where it was.
    fn reopen(&mut self) {
        match self.output.reopen() {
            Ok(output) => self.output = output,
            Err(error) => {
                let error = anyhow::Error::from(error);
                error!("the log stays in the old file: {error:#}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::{BufRead, BufReader};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn counter() -> IntCounter {
        IntCounter::new("lost", "Lines lost.").unwrap()
    }

    fn open(kind: Kind, path: &Path) -> Buffered {
        Buffered::open(kind, path, &counter()).unwrap()
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
        let count = 3 * KEPT_MAX / line.len();
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
        assert!(len <= KEPT_MAX, "{len}");
        assert!((1..count).contains(&lost), "{lost}");
        let reader = std::thread::spawn(move || {
            let lines = BufReader::new(pipe.unwrap()).split(b'\n');
            lines
                .take(count - lost)
                .all(|line| line.unwrap() == [b'x'; 99])
        });
        assert!(reader.join().unwrap());
    }
}
