//! One place that lines are written to. Writes are whole lines, so lines of two threads never mix.
//! None of them waits.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Instant;

use base::Escaped;
use chrono::{DateTime, Utc};
use log::{Level, Record};
use net::timestamp;
use parking_lot::Mutex;

use super::LogError;
use super::buffered::{Buffered, Kind, Losses};
use super::syslog::Syslog;
use super::target::LogTarget;
use crate::metrics::IntCounter;

/// Room for a usual line.
const LINE_LEN: usize = 256;

/// One of the places.
#[derive(Debug)]
pub(super) enum Sink {
    Stderr(Buffered),
    File(Buffered),
    Syslog {
        syslog: Syslog,
        /// Lines since one got through.
        losses: Mutex<Losses>,
    },
    /// For a log that nobody wants.
    Nowhere,
}

impl Sink {
    /// What the configuration names, or else the standard error. Counts lost lines in `lost`.
    pub(super) fn open(
        kind: Kind,
        target: Option<&LogTarget>,
        lost: &IntCounter,
    ) -> Result<Sink, LogError> {
        Ok(match target {
            None => Sink::Stderr(Buffered::stderr(lost)?),
            Some(LogTarget::Off) => Sink::Nowhere,
            Some(LogTarget::File(path)) => Sink::File(Buffered::open(kind, path, lost)?),
            Some(LogTarget::Syslog(facility)) => Sink::Syslog {
                syslog: Syslog::open(*facility).map_err(LogError::Syslog)?,
                losses: Mutex::new(Losses::new(lost)),
            },
        })
    }

    pub(super) fn is_stderr(&self) -> bool {
        matches!(self, Sink::Stderr(_))
    }

    /// Whether lines get lost here on purpose.
    pub(super) fn is_nowhere(&self) -> bool {
        matches!(self, Sink::Nowhere)
    }

    /// Has the file opened anew by its name; the old one is kept when that fails.
    pub(super) fn reopen(&self) {
        if let Sink::File(buffered) = self {
            buffered.reopen();
        }
    }

    /// Waits until every line so far is written, but not beyond `deadline`.
    pub(super) fn flush(&self, deadline: Instant) {
        if let Sink::File(buffered) | Sink::Stderr(buffered) = self {
            buffered.flush(deadline);
        }
    }

    /// Writes a line with time, level and target; syslog adds the time and takes the level apart.
    pub(super) fn write(&self, now: DateTime<Utc>, record: &Record<'_>) {
        let mut line = String::with_capacity(LINE_LEN);
        let (level, target) = (record.level(), Escaped(record.target()));
        if !matches!(self, Sink::Syslog { .. }) {
            let _ = write!(line, "{} {level:<5} ", timestamp(now));
        }
        let _ = write!(line, "{target}: {}", Escaped(record.args()));
        self.write_line(level, line);
    }

    /// Writes a record's text alone.
    pub(super) fn write_bare(&self, record: &Record<'_>) {
        let mut line = String::with_capacity(LINE_LEN);
        let _ = write!(line, "{}", Escaped(record.args()));
        self.write_line(Level::Info, line);
    }

    /// A line that cannot be written is lost.
    fn write_line(&self, level: Level, mut line: String) {
        match self {
            Sink::Syslog { syslog, losses } => send(syslog, losses, level, &line),
            Sink::Stderr(buffered) | Sink::File(buffered) => {
                line.push('\n');
                buffered.push(line.as_bytes());
            }
            Sink::Nowhere => {}
        }
    }
}

/// Sends a line, and before it how many were lost, if some were.
fn send(syslog: &Syslog, losses: &Mutex<Losses>, level: Level, line: &str) {
    let mut losses = losses.lock();
    if !losses.is_empty() && syslog.send(Level::Warn, &losses.text()).is_ok() {
        losses.told();
    }
    if let Err(error) = syslog.send(level, line) {
        if losses.is_empty() {
            let text = format!("cannot write to syslog: {error}\n");
            drop(io::stderr().write_all(text.as_bytes()));
        }
        losses.add(1, error);
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
        let losses = Mutex::new(Losses::new(&counter));
        for _ in 0..3 {
            send(&syslog, &losses, Level::Info, "lost");
        }
        assert_eq!(counter.get(), 3);
        let daemon = UnixDatagram::bind(&path).unwrap();
        send(&syslog, &losses, Level::Info, "heard");
        send(&syslog, &losses, Level::Info, "heard too");
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
