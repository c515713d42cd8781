//! Output to stdout and stderr. Only results go to stdout.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

use super::args::Args;
use super::diagnostics::Diagnostics;
use super::exit::Exit;

/// The form of results and progress.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    progress: bool,
    diagnostics: Diagnostics,
    /// True if an unprinted result is lost because it cannot be requested again.
    must_print: bool,
    /// Why the first lost result was not printed.
    lost: OnceLock<Lost>,
}

/// Why stdout does not take a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// Its reader is gone, as in `tnv ... | head`.
    Closed,
    /// A write failed, for example for lack of space.
    Failed,
}

/// The reader of stdout is gone, as in `tnv ... | head`. This is not reported.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(super) struct StdoutClosed;

/// True if writing to stdout failed because its reader is gone.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<StdoutClosed>().is_some()
}

impl Output {
    pub(super) fn new(args: &Args) -> Output {
        Output {
            json: args.global.json,
            progress: !args.global.quiet && io::stderr().is_terminal(),
            diagnostics: Diagnostics::new(args),
            must_print: args.command.has_effects(),
            lost: OnceLock::new(),
        }
    }

    /// True if results are JSON.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// True if progress bars are shown.
    pub(super) fn shows_progress(&self) -> bool {
        self.progress
    }

    /// What prints failures and notes on stderr.
    pub(super) fn diagnostics(&self) -> Diagnostics {
        self.diagnostics
    }

    /// Prints one result: as a JSON object in one line, or as text unless it is empty. A failed print
    /// does not end the command; [`Output::exit`] reports it.
    pub(super) fn result(&self, value: &impl Serialize, text: &str) -> anyhow::Result<()> {
        if self.json {
            self.line(&serde_json::to_string(value)?);
        } else if !text.is_empty() {
            self.line(text);
        }
        Ok(())
    }

    /// Prints a line on stdout. If that fails and the result would be lost, prints it on stderr.
    pub(super) fn line(&self, line: &str) {
        let Err(error) = write_stdout(format!("{line}\n").as_bytes()) else {
            return;
        };
        let (lost, is_first) = match error.is::<StdoutClosed>() {
            true => (Lost::Closed, self.lost.set(Lost::Closed).is_ok()),
            false => (Lost::Failed, self.lost.set(Lost::Failed).is_ok()),
        };
        if is_first && lost == Lost::Failed {
            self.diagnostics.error(&error, None, false);
        }
        if self.must_print {
            self.diagnostics.unprinted(line);
        }
    }

    /// The exit code of a command that ended with `exit`. A success whose results could not be printed
    /// is a failure, unless the reader closed stdout.
    pub(super) fn exit(&self, exit: Exit) -> Exit {
        match (exit, self.lost.get()) {
            (Exit::Ok, Some(Lost::Failed)) => Exit::Local,
            (exit, _) => exit,
        }
    }
}

/// Many lines for stdout, written [`LINES_MAX`] bytes at a time.
#[derive(Debug, Default)]
pub(super) struct Lines(String);

const LINES_MAX: usize = 64 << 10;

impl Lines {
    /// # Errors
    /// Standard output is closed or cannot be written to.
    pub(super) fn add(&mut self, line: &str) -> anyhow::Result<()> {
        self.0.push_str(line);
        self.0.push('\n');
        match self.0.len() < LINES_MAX {
            true => Ok(()),
            false => self.finish(),
        }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// As [`Lines::add`].
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        write_stdout(std::mem::take(&mut self.0).as_bytes())
    }
}

/// Seconds since the epoch as RFC 3339, in UTC. `None` for an unknown time.
pub(super) fn utc(secs: i64) -> Option<String> {
    let time = DateTime::from_timestamp(secs, 0).filter(|_| secs != 0)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// Writes to stdout and flushes it, so that a reader gets each result at once.
pub(super) fn write_stdout(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(StdoutClosed.into()),
        Err(error) => Err(anyhow::Error::new(error).context("cannot write to standard output")),
        Ok(()) => Ok(()),
    }
}
