//! One place that lines are written to. Writes are whole lines, to a file under a lock, so lines of
//! two threads never mix.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use log::{Level, Record};
use parking_lot::Mutex;
use proto::Escaped;

use super::buffered::Buffered;
use super::output::Output;
use super::syslog::Syslog;
use super::target::LogTarget;
use super::{LogError, timestamp};

/// Room for a usual line.
const LINE_LEN: usize = 256;

/// One of the places.
#[derive(Debug)]
pub(super) enum Sink {
    Stderr,
    File(Mutex<Output>),
    Buffered(Buffered),
    Syslog {
        syslog: Syslog,
        /// A failure was reported and no line has got through since.
        failing: AtomicBool,
    },
    /// For a main log that nobody wants.
    Nowhere,
}

impl Sink {
    pub(super) fn stderr() -> Sink {
        Sink::Stderr
    }

    /// What the configuration names, if it names something.
    pub(super) fn open(target: Option<&LogTarget>) -> Result<Option<Sink>, LogError> {
        Ok(match target {
            None => None,
            Some(LogTarget::Off) => Some(Sink::Nowhere),
            Some(LogTarget::File(path)) => Some(Sink::File(Mutex::new(Output::open(path)?))),
            Some(LogTarget::Syslog(facility)) => Some(Sink::Syslog {
                syslog: Syslog::open(*facility).map_err(LogError::Syslog)?,
                failing: AtomicBool::new(false),
            }),
        })
    }

    /// The same for very many lines: a file gets them many at a time.
    pub(super) fn open_buffered(target: &LogTarget) -> Result<Option<Sink>, LogError> {
        match target {
            LogTarget::File(path) => Ok(Some(Sink::Buffered(Buffered::open(path)?))),
            _ => Sink::open(Some(target)),
        }
    }

    pub(super) fn is_stderr(&self) -> bool {
        matches!(self, Sink::Stderr)
    }

    /// Whether lines get lost here on purpose.
    pub(super) fn is_nowhere(&self) -> bool {
        matches!(self, Sink::Nowhere)
    }

    /// Opens the file anew by its name; keeps the old one when that fails.
    pub(super) fn reopen(&self) -> Result<(), LogError> {
        match self {
            Sink::File(output) => {
                let path = output.lock().path().to_owned();
                let next = Output::open(&path)?;
                *output.lock() = next;
                Ok(())
            }
            Sink::Buffered(buffered) => buffered.reopen(),
            Sink::Stderr | Sink::Syslog { .. } | Sink::Nowhere => Ok(()),
        }
    }

    /// Waits a moment until every line so far is written.
    pub(super) fn flush(&self) {
        if let Sink::Buffered(buffered) = self {
            buffered.flush();
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
        if let Sink::Syslog { syslog, failing } = self {
            return match syslog.send(level, &line) {
                Ok(()) => failing.store(false, Ordering::Relaxed),
                Err(error) if !failing.swap(true, Ordering::Relaxed) => {
                    let text = format!("cannot write to syslog: {error}\n");
                    drop(io::stderr().write_all(text.as_bytes()));
                }
                Err(_) => {}
            };
        }
        line.push('\n');
        match self {
            // Nobody is left to be told when this fails.
            Sink::Stderr => drop(io::stderr().write_all(line.as_bytes())),
            Sink::File(output) => output.lock().write(line.as_bytes()),
            Sink::Buffered(buffered) => buffered.push(line.as_bytes()),
            Sink::Syslog { .. } | Sink::Nowhere => {}
        }
    }
}
