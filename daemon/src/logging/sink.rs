//! One destination of log lines. Each write is a whole line, so lines of two threads never mix. No write
//! blocks.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Instant;

use base::Escaped;
use chrono::{DateTime, Utc};
use log::{Level, Record};
use net::timestamp;
use parking_lot::Mutex;

use super::LogError;
use super::buffered::{BufferedLog, Kind, LostLines};
use super::syslog::Syslog;
use super::target::LogTarget;
use crate::metrics::IntCounter;

/// Capacity for a usual line, in bytes.
const LINE_LEN: usize = 256;

#[derive(Debug)]
pub(super) enum Sink {
    Stderr(BufferedLog),
    File(BufferedLog),
    Syslog {
        syslog: Syslog,
        /// Lines lost since the latest success.
        lost_lines: Mutex<LostLines>,
    },
    /// Discards lines.
    Nowhere,
}

impl Sink {
    /// Opens `target`, or else the standard error. Counts lost lines in `lost`.
    pub(super) fn open(
        kind: Kind,
        target: Option<&LogTarget>,
        lost: &IntCounter,
    ) -> Result<Sink, LogError> {
        Ok(match target {
            None => Sink::Stderr(BufferedLog::stderr(lost)?),
            Some(LogTarget::Off) => Sink::Nowhere,
            Some(LogTarget::File(path)) => Sink::File(BufferedLog::open(kind, path, lost)?),
            Some(LogTarget::Syslog(facility)) => Sink::Syslog {
                syslog: Syslog::open(*facility).map_err(LogError::Syslog)?,
                lost_lines: Mutex::new(LostLines::new(lost)),
            },
        })
    }

    pub(super) fn is_stderr(&self) -> bool {
        matches!(self, Sink::Stderr(_))
    }

    /// True if lines are discarded.
    pub(super) fn is_nowhere(&self) -> bool {
        matches!(self, Sink::Nowhere)
    }

    /// Reopens the file by name; keeps the old one if that fails.
    pub(super) fn reopen(&self) {
        if let Sink::File(buffered) = self {
            buffered.reopen();
        }
    }

    /// Waits until every line so far is written, or until `deadline`.
    pub(super) fn flush(&self, deadline: Instant) {
        if let Sink::File(buffered) | Sink::Stderr(buffered) = self {
            buffered.flush(deadline);
        }
    }

    /// Writes a line with time, level and target; syslog has its own time and level.
    pub(super) fn write(&self, now: DateTime<Utc>, record: &Record<'_>) {
        let mut line = String::with_capacity(LINE_LEN);
        let (level, target) = (record.level(), Escaped(record.target()));
        if !matches!(self, Sink::Syslog { .. }) {
            let _ = write!(line, "{} {level:<5} ", timestamp(now));
        }
        let _ = write!(line, "{target}: {}", Escaped(record.args()));
        self.write_line(level, line);
    }

    /// Writes the text of a record only.
    pub(super) fn write_bare(&self, record: &Record<'_>) {
        let mut line = String::with_capacity(LINE_LEN);
        let _ = write!(line, "{}", Escaped(record.args()));
        self.write_line(Level::Info, line);
    }

    /// A line that cannot be written is lost.
    fn write_line(&self, level: Level, mut line: String) {
        match self {
            Sink::Syslog { syslog, lost_lines } => send(syslog, lost_lines, level, &line),
            Sink::Stderr(buffered) | Sink::File(buffered) => {
                line.push('\n');
                buffered.push(line.as_bytes());
            }
            Sink::Nowhere => {}
        }
    }
}

/// Sends a line, and before it the number of lost lines, if any.
fn send(syslog: &Syslog, lost_lines: &Mutex<LostLines>, level: Level, line: &str) {
    let mut lost_lines = lost_lines.lock();
    if !lost_lines.is_empty() && syslog.send(Level::Warn, &lost_lines.text()).is_ok() {
        lost_lines.reported();
    }
    if let Err(error) = syslog.send(level, line) {
        if lost_lines.is_empty() {
            let text = format!("cannot write to syslog: {error}\n");
            drop(io::stderr().write_all(text.as_bytes()));
        }
        lost_lines.add(1, error);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::super::target::Facility;
    use super::*;

    #[test]
    fn a_syslog_that_comes_back_is_told_what_it_missed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let syslog = Syslog::at(&path, Facility::DAEMON).unwrap();
        let counter = IntCounter::new("lost", "Lines lost.").unwrap();
        let lost_lines = Mutex::new(LostLines::new(&counter));
        for _ in 0..3 {
            send(&syslog, &lost_lines, Level::Info, "lost");
        }
        assert_eq!(counter.get(), 3);
        let daemon = UnixDatagram::bind(&path).unwrap();
        send(&syslog, &lost_lines, Level::Info, "heard");
        send(&syslog, &lost_lines, Level::Info, "heard too");
        for end in [
            "3 lines of this log are lost: No such file or directory (os error 2)",
            "heard",
            "heard too",
        ] {
            let mut buffer = [0; 256];
            let len = daemon.recv(&mut buffer).unwrap();
            let line = String::from_utf8_lossy(&buffer[..len]);
            assert!(line.ends_with(&format!(": {end}")), "{line}");
        }
        assert_eq!(counter.get(), 3);
    }
}
