//! A log that buffers lines in memory, and a thread that writes them in batches. A thread that logs
//! never waits for the disk or for syslog: one that hangs loses lines.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::LogThrottle;
use base::thread::{self, Thread};
use chrono::{DateTime, Utc};
use log::{Level, Record, error, warn};
use parking_lot::{Condvar, Mutex};

use super::LogError;
use super::line::LineForm;
use super::output::{Output, WriteError};
use super::target::LogTarget;
use crate::metrics::IntCounter;

/// Lines of the access log are written at this many bytes
const WRITE_AT: usize = 64 << 10;
/// or after this time, whose lines a crash may lose.
const WRITE_AFTER: Duration = Duration::from_secs(1);
/// Most bytes that are buffered while the disk hangs; further lines are lost.
const BUFFER_MAX: usize = 8 << 20;
/// How long a stop waits for buffered lines.
pub(super) const FLUSH_TIME: Duration = Duration::from_secs(2);

/// The kind of log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Each line is written at once. Lost lines are reported in the log itself.
    Main,
    /// Lines for a file are buffered. Lost lines are reported in the main log, since programs read this one.
    Access,
}

/// A log and its buffered lines. Dropping it writes them.
#[derive(Debug)]
pub(super) struct BufferedLog {
    shared: Arc<Shared>,
    /// Absent only while this is dropped.
    writer: Option<Thread>,
}

#[derive(Debug)]
struct Shared {
    form: LineForm,
    /// Number of bytes at which lines are written.
    write_at: usize,
    pending: Mutex<Pending>,
    /// Wakes the writer.
    due: Condvar,
    /// Signals the end of a round of the writer.
    done: Condvar,
}

/// Work for the writer.
#[derive(Debug, Default)]
struct Pending {
    lines: Vec<u8>,
    /// Reopen the file after these lines.
    reopen: bool,
    /// Lines that were dropped since the previous round.
    lost: u64,
    /// A thread waits for the end of the next round.
    flush_wanted: bool,
    ending: bool,
    /// Number of rounds of the writer that have begun and ended.
    begun: u64,
    ended: u64,
}

impl BufferedLog {
    /// Opens `target`, or else the standard error; none if lines are discarded. Counts lost lines in `lost`.
    ///
    /// # Errors
    /// It cannot be opened, or the system refuses a thread.
    pub(super) fn open(
        kind: Kind,
        target: Option<&LogTarget>,
        lost: &IntCounter,
    ) -> Result<Option<BufferedLog>, LogError> {
        let start = |output| BufferedLog::start(kind, output, LineForm::of(target), lost);
        Output::open(target)?.map(start).transpose()
    }

    fn start(
        kind: Kind,
        output: Output,
        form: LineForm,
        lost: &IntCounter,
    ) -> Result<BufferedLog, LogError> {
        let write_at = match (kind, &form) {
            (Kind::Access, LineForm::Plain) => WRITE_AT,
            _ => 1,
        };
        let shared = Arc::new(Shared {
            form,
            write_at,
            pending: Mutex::default(),
            due: Condvar::new(),
            done: Condvar::new(),
        });
        let writer = Writer {
            kind,
            shared: Arc::clone(&shared),
            output,
            lost_lines: LostLines::new(lost),
            throttle: LogThrottle::default(),
        };
        let name = match kind {
            Kind::Main => "log",
            Kind::Access => "access-log",
        };
        let writer = thread::spawn(name, move || writer.run());
        Ok(BufferedLog {
            shared,
            writer: Some(writer.map_err(LogError::Thread)?),
        })
    }

    /// Appends a record with time, level and target.
    pub(super) fn write(&self, now: DateTime<Utc>, record: &Record<'_>) {
        self.push(self.shared.form.of_main(now, record).as_bytes());
    }

    /// Appends the text of a record only.
    pub(super) fn write_bare(&self, record: &Record<'_>) {
        self.push(self.shared.form.of_access(record).as_bytes());
    }

    /// Appends a line, which ends in a line feed.
    fn push(&self, line: &[u8]) {
        let mut pending = self.shared.pending.lock();
        let before = pending.lines.len();
        if before + line.len() > BUFFER_MAX {
            pending.lost += 1;
            return;
        }
        pending.lines.extend_from_slice(line);
        if before < self.shared.write_at && pending.is_due(self.shared.write_at) {
            self.shared.due.notify_one();
        }
    }

    /// Waits until every line so far is written, or until `deadline`.
    pub(super) fn flush(&self, deadline: Instant) {
        let mut pending = self.shared.pending.lock();
        pending.flush_wanted = true;
        self.shared.due.notify_one();
        let round = pending.begun + 1;
        while pending.ended < round {
            let waited = self.shared.done.wait_until(&mut pending, deadline);
            if waited.timed_out() {
                return;
            }
        }
    }

    /// Makes the writer reopen the file by name. Does not wait for it.
    pub(super) fn reopen(&self) {
        let mut pending = self.shared.pending.lock();
        pending.reopen = true;
        pending.flush_wanted = true;
        self.shared.due.notify_one();
    }
}

impl Drop for BufferedLog {
    fn drop(&mut self) {
        self.shared.pending.lock().ending = true;
        self.shared.due.notify_one();
        // A writer that hangs is not joined.
        drop(thread::join_until(
            self.writer.take(),
            Instant::now() + FLUSH_TIME,
        ));
    }
}

impl Pending {
    fn is_due(&self, write_at: usize) -> bool {
        self.lines.len() >= write_at || self.flush_wanted || self.ending
    }
}

/// Lost lines, to report when the log can be written again.
#[derive(Debug)]
struct LostLines {
    counter: IntCounter,
    unreported: u64,
    why: String,
}

impl LostLines {
    fn new(counter: &IntCounter) -> LostLines {
        LostLines {
            counter: counter.clone(),
            unreported: 0,
            why: String::new(),
        }
    }

    fn add(&mut self, lines: u64, why: impl ToString) {
        if lines > 0 {
            self.counter.inc_by(lines);
            self.unreported += lines;
            self.why = why.to_string();
        }
    }

    fn is_empty(&self) -> bool {
        self.unreported == 0
    }
}

/// The writer's thread.
struct Writer {
    kind: Kind,
    shared: Arc<Shared>,
    output: Output,
    lost_lines: LostLines,
    throttle: LogThrottle<()>,
}

/// One round of the writer.
struct Round {
    reopen: bool,
    ending: bool,
}

impl Writer {
    fn run(mut self) {
        let mut lines = Vec::new();
        loop {
            let round = self.begin(&mut lines);
            self.report_lost_lines(round.ending);
            if let Err(WriteError { lines, why }) = self.output.write(&lines) {
                self.lost_lines.add(lines, why);
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

    /// Waits for work.
    fn begin(&mut self, lines: &mut Vec<u8>) -> Round {
        let mut pending = self.shared.pending.lock();
        if !pending.is_due(self.shared.write_at) {
            self.shared.due.wait_for(&mut pending, WRITE_AFTER);
        }
        std::mem::swap(&mut pending.lines, lines);
        let lost = std::mem::take(&mut pending.lost);
        self.lost_lines.add(lost, "its disk was too slow");
        pending.flush_wanted = false;
        pending.begun += 1;
        Round {
            reopen: std::mem::take(&mut pending.reopen),
            ending: pending.ending,
        }
    }

    /// Reports lost lines; tries again later if that fails.
    fn report_lost_lines(&mut self, ending: bool) {
        if self.lost_lines.is_empty() || (self.throttle.due(()).is_none() && !ending) {
            return;
        }
        let LostLines {
            unreported, why, ..
        } = &self.lost_lines;
        match self.kind {
            Kind::Main => {
                let line = self.shared.form.of_main(
                    Utc::now(),
                    &Record::builder()
                        .level(Level::Warn)
                        .target(module_path!())
                        .args(format_args!(
                            "{unreported} lines of this log are lost: {why}"
                        ))
                        .build(),
                );
                if self.output.write(line.as_bytes()).is_err() {
                    return;
                }
            }
            Kind::Access if self.output.is_failing() && !ending => return,
            Kind::Access => warn!("{unreported} lines of the access log are lost: {why}"),
        }
        self.lost_lines.unreported = 0;
    }

    /// Reopens the file by name, or keeps the old one.
    fn reopen(&mut self) {
        if let Err(error) = self.output.reopen() {
            let error = anyhow::Error::from(error);
            error!("the log stays in the old file: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests;
