//! A file for very many lines, the access log: they are gathered in memory, and a thread of its own
//! writes many of them at once. Whoever has a line never waits for the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::warn;
use parking_lot::{Condvar, Mutex};

use super::output::Output;
use super::{LogError, Seldom};
use crate::thread::{self, Thread};

/// Lines are written when there are so many bytes of them,
const WRITE_AT: usize = 64 << 10;
/// or after this time: what a crash may lose.
const WRITE_AFTER: Duration = Duration::from_secs(1);
/// Most bytes that are kept for a disk that stands still; further lines are lost.
const KEPT_MAX: usize = 8 << 20;
/// How long a stop or a new file waits for what is still to be written.
const PATIENCE: Duration = Duration::from_secs(2);

/// The file, and the lines on their way to it. Dropping it writes them.
#[derive(Debug)]
pub(super) struct Buffered {
    path: PathBuf,
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
    /// To go on in, behind these lines.
    next: Option<Output>,
    /// Lines that found no room since it was told last.
    lost: u64,
    /// Somebody waits for the end of the next round that begins.
    hurry: bool,
    ending: bool,
    /// Rounds of the writer that have begun, and ended.
    begun: u64,
    ended: u64,
}

impl Buffered {
    pub(super) fn open(path: &Path) -> Result<Buffered, LogError> {
        let output = Output::open(path)?;
        let path = output.path().to_owned();
        let shared = Arc::new(Shared::default());
        let of_writer = Arc::clone(&shared);
        let writer = thread::spawn("access-log", move || write(&of_writer, output));
        Ok(Buffered {
            path,
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
        if before < WRITE_AT && pending.is_due() {
            self.shared.due.notify_one();
        }
    }

    /// Waits until every line so far is written, for a bounded time: the disk may stand still.
    pub(super) fn flush(&self) {
        self.hurry(|_| {});
    }

    /// Goes on in a new file of the same name.
    pub(super) fn reopen(&self) -> Result<(), LogError> {
        let next = Output::open(&self.path)?;
        self.hurry(|pending| pending.next = Some(next));
        Ok(())
    }

    /// Has the writer do all there is to do, and waits for that.
    fn hurry(&self, also: impl FnOnce(&mut Pending)) {
        let deadline = Instant::now() + PATIENCE;
        let mut pending = self.shared.pending.lock();
        also(&mut pending);
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

impl Pending {
    fn is_due(&self) -> bool {
        self.lines.len() >= WRITE_AT || self.hurry || self.ending
    }
}

/// The writer's thread.
fn write(shared: &Shared, mut output: Output) {
    let mut lines = Vec::new();
    let (mut lost, seldom) = (0, Seldom::default());
    loop {
        let mut pending = shared.pending.lock();
        if !pending.is_due() {
            shared.due.wait_for(&mut pending, WRITE_AFTER);
        }
        std::mem::swap(&mut pending.lines, &mut lines);
        lost += std::mem::take(&mut pending.lost);
        let (next, ending) = (pending.next.take(), pending.ending);
        pending.hurry = false;
        pending.begun += 1;
        drop(pending);

        output.write(&lines);
        lines.clear();
        lines.shrink_to(2 * WRITE_AT);
        output = next.unwrap_or(output);
        if lost > 0 && (seldom.due(()).is_some() || ending) {
            warn!("{lost} lines of the access log are lost, its disk was too slow");
            lost = 0;
        }

        shared.pending.lock().ended += 1;
        shared.done.notify_all();
        if ending {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::{BufRead, BufReader};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn lines_reach_the_file_by_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = Buffered::open(&path).unwrap();
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
        let log = Buffered::open(&path).unwrap();
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
        let log = Buffered::open(&path).unwrap();
        let line = [&[b'x'; 99][..], b"\n"].concat();
        let count = 3 * KEPT_MAX / line.len();
        for _ in 0..count {
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
