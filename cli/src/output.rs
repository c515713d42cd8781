//! What goes to stdout and stderr. Stdout holds results and nothing else.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use base::Escaped;
use serde::Serialize;

use super::args::Global;
use super::exit::Exit;

/// How results and progress are shown.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    progress: bool,
    /// Whether a result that is printed nowhere is lost: it cannot be asked for again.
    is_precious: bool,
    /// Why the first result that could not be printed was not.
    lost: OnceLock<Lost>,
}

/// Why stdout takes no results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// Its reader is gone, as in `tnv ... | head`.
    Closed,
    /// The system refused, for lack of space perhaps.
    Failed,
}

/// The reader of stdout is gone, as in `tnv ... | head`. No error to talk about.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(super) struct StdoutClosed;

impl Output {
    pub(super) fn new(global: &Global, is_precious: bool) -> Output {
        Output {
            json: global.json,
            progress: !global.quiet && io::stderr().is_terminal(),
            is_precious,
            lost: OnceLock::new(),
        }
    }

    /// Whether results are JSON.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a progress bar is of use.
    pub(super) fn shows_progress(&self) -> bool {
        self.progress
    }

    /// One result: as a JSON object on a line of its own, or as text, which may be nothing. That it
    /// cannot be printed ends nothing: the work that is left is done, and [`Output::exit`] tells.
    pub(super) fn result(&self, value: &impl Serialize, text: &str) -> anyhow::Result<()> {
        if self.json {
            self.line(&serde_json::to_string(value)?);
        } else if !text.is_empty() {
            self.line(text);
        }
        Ok(())
    }

    /// Prints a line on stdout. Where that fails a precious one goes to stderr.
    pub(super) fn line(&self, line: &str) {
        let Err(error) = write_stdout(format!("{line}\n").as_bytes()) else {
            return;
        };
        let (lost, is_first) = match error.is::<StdoutClosed>() {
            true => (Lost::Closed, self.lost.set(Lost::Closed).is_ok()),
            false => (Lost::Failed, self.lost.set(Lost::Failed).is_ok()),
        };
        if is_first && lost == Lost::Failed {
            print_error(&error);
        }
        if self.is_precious {
            print_error(&anyhow::anyhow!("not printed on standard output: {line}"));
        }
    }

    /// The exit code of a command that ended with `exit`: a success whose results could not be
    /// printed is none, unless the reader had enough of them.
    pub(super) fn exit(&self, exit: Exit) -> Exit {
        match (exit, self.lost.get()) {
            (Exit::Ok, Some(Lost::Failed)) => Exit::Local,
            (exit, _) => exit,
        }
    }
}

/// Writes to stdout at once, so that a reader has each result as soon as we do.
pub(super) fn write_stdout(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(StdoutClosed.into()),
        Err(error) => Err(anyhow::Error::new(error).context("cannot write to standard output")),
        Ok(()) => Ok(()),
    }
}

/// One line on stderr that is no error.
pub(super) fn print_note(text: &str) {
    let _ = writeln!(io::stderr(), "tnv: {}", Escaped(text));
}

/// One line on stderr: the whole chain of causes. That stderr is closed is nobody's concern.
pub(super) fn print_error(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "tnv: {}", Escaped(format!("{error:#}")));
}
