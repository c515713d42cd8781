//! One place that lines are written to. Writes are whole lines under a lock, so lines of two
//! threads never mix; the file is the only state.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::LogError;

/// A log file may name clients: the group may read it, others not.
const FILE_MODE: u32 = 0o640;

/// The standard error or a file.
#[derive(Debug)]
pub(super) struct Sink {
    file: Option<Mutex<Output>>,
}

#[derive(Debug)]
struct Output {
    path: PathBuf,
    file: File,
    /// A failure was reported and no write has succeeded since.
    failing: bool,
}

impl Sink {
    pub(super) fn stderr() -> Sink {
        Sink { file: None }
    }

    pub(super) fn file(path: &Path) -> Result<Sink, LogError> {
        let output = Output {
            path: path.to_owned(),
            file: open(path)?,
            failing: false,
        };
        Ok(Sink {
            file: Some(Mutex::new(output)),
        })
    }

    pub(super) fn is_stderr(&self) -> bool {
        self.file.is_none()
    }

    /// Opens the file anew by its name; keeps the old one when that fails.
    pub(super) fn reopen(&self) -> Result<(), LogError> {
        if let Some(output) = &self.file {
            let path = output.lock().path.clone();
            let file = open(&path)?;
            output.lock().file = file;
        }
        Ok(())
    }

    /// Writes a line that ends with its line feed. A line that cannot be written is lost.
    pub(super) fn write_line(&self, line: &[u8]) {
        match &self.file {
            Some(output) => output.lock().write_line(line),
            // Nobody is left to be told when this fails.
            None => drop(io::stderr().write_all(line)),
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

/// Appends; made for env_logger, which hands over one whole line at a time.
pub(super) struct LineWriter(pub(super) Arc<Sink>);

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
