//! A log file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::LogError;

/// A log file may name clients: the group may read it, others not.
const MODE: u32 = 0o640;

/// A log file that is written to. A failure costs what was to be written, and is told to the
/// standard error, once until a write succeeds again.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    file: File,
    failing: bool,
}

impl Output {
    pub(super) fn open(path: &Path) -> Result<Output, LogError> {
        let open = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(MODE)
            .open(path);
        Ok(Output {
            path: path.to_owned(),
            file: open.map_err(|source| LogError::Open {
                path: path.to_owned(),
                source,
            })?,
            failing: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) {
        match self.file.write_all(lines) {
            Ok(()) => self.failing = false,
            Err(error) => self.report(&error),
        }
    }

    fn report(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.failing, true) {
            let path = self.path.display();
            let text = format!("cannot write to the log file {path}: {error}\n");
            drop(io::stderr().write_all(text.as_bytes()));
        }
    }
}
