//! One place that lines are written to. Writes are whole lines, to a file under a lock, so lines of
//! two threads never mix.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use log::{Level, Record};
use parking_lot::Mutex;

use super::escape::Escaped;
use super::syslog::Syslog;
use super::target::LogTarget;
use super::{LogError, timestamp};

/// A log file may name clients: the group may read it, others not.
const FILE_MODE: u32 = 0o640;

/// One of the places.
#[derive(Debug)]
pub(super) enum Sink {
    Stderr,
    File(Mutex<Output>),
    Syslog {
        syslog: Syslog,
        /// A failure was reported and no line has got through since.
        failing: AtomicBool,
    },
    /// For a main log that nobody wants.
    Nowhere,
}

#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    file: File,
    /// A failure was reported and no write has succeeded since.
    failing: bool,
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
            Some(LogTarget::File(path)) => Some(Sink::file(path)?),
            Some(LogTarget::Syslog(facility)) => Some(Sink::Syslog {
                syslog: Syslog::open(*facility).map_err(LogError::Syslog)?,
                failing: AtomicBool::new(false),
            }),
        })
    }

    fn file(path: &Path) -> Result<Sink, LogError> {
        let output = Output {
            path: path.to_owned(),
            file: open(path)?,
            failing: false,
        };
        Ok(Sink::File(Mutex::new(output)))
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
        if let Sink::File(output) = self {
            let path = output.lock().path.clone();
            let file = open(&path)?;
            output.lock().file = file;
        }
        Ok(())
    }

    /// Writes a line with time, level and target; syslog adds the time and takes the level apart.
    pub(super) fn write(&self, now: DateTime<Utc>, record: &Record<'_>) {
        let target = Escaped(record.target());
        let text = format!("{target}: {}", Escaped(record.args()));
        match self {
            Sink::Syslog { .. } => self.write_line(record.level(), &text),
            _ => {
                let (time, level) = (timestamp(now), record.level());
                self.write_line(level, &format!("{time} {level:<5} {text}"));
            }
        }
    }

    /// Writes a record's text alone.
    pub(super) fn write_bare(&self, record: &Record<'_>) {
        self.write_line(Level::Info, &Escaped(record.args()).to_string());
    }

    /// A line that cannot be written is lost.
    fn write_line(&self, level: Level, line: &str) {
        match self {
            // Nobody is left to be told when this fails.
            Sink::Stderr => drop(io::stderr().write_all(format!("{line}\n").as_bytes())),
            Sink::File(output) => output.lock().write_line(format!("{line}\n").as_bytes()),
            Sink::Syslog { syslog, failing } => match syslog.send(level, line) {
                Ok(()) => failing.store(false, Ordering::Relaxed),
                Err(error) if !failing.swap(true, Ordering::Relaxed) => {
                    let text = format!("cannot write to syslog: {error}\n");
                    drop(io::stderr().write_all(text.as_bytes()));
                }
                Err(_) => {}
            },
            Sink::Nowhere => {}
        }
    }
}

impl Output {
    fn write_line(&mut self, line: &[u8]) {
        match self.file.write_all(line) {
            Ok(()) => self.failing = false,
            Err(error) => self.report(&error),
        }
    }

    /// Tells the standard error, once until a write succeeds again.
    fn report(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.failing, true) {
            let path = self.path.display();
            let text = format!("cannot write to the log file {path}: {error}\n");
            drop(io::stderr().write_all(text.as_bytes()));
        }
    }
}

fn open(path: &Path) -> Result<File, LogError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(|source| LogError::Open {
            path: path.to_owned(),
            source,
        })
}
