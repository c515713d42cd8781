//! What goes to stdout and stderr. Stdout holds results and nothing else.

use std::io::{self, IsTerminal, Write};

use proto::Escaped;
use serde::Serialize;

use super::args::Global;

/// How results and progress are shown.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    progress: bool,
}

/// The reader of stdout is gone, as in `tnv ... | head`. No error to talk about.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(super) struct StdoutClosed;

impl Output {
    pub(super) fn new(global: &Global) -> Output {
        Output {
            json: global.json,
            progress: !global.quiet && io::stderr().is_terminal(),
        }
    }

    /// Whether a progress bar is of use.
    pub(super) fn shows_progress(&self) -> bool {
        self.progress
    }

    /// One result: as a JSON object on a line of its own, or as text, which may be nothing.
    pub(super) fn result(&self, value: &impl Serialize, text: &str) -> anyhow::Result<()> {
        if self.json {
            let line = serde_json::to_string(value)?;
            return write_stdout(format!("{line}\n").as_bytes());
        }
        match text {
            "" => Ok(()),
            text => write_stdout(format!("{text}\n").as_bytes()),
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

/// One line on stderr: the whole chain of causes. That stderr is closed is nobody's concern.
pub(super) fn print_error(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "tnv: {}", Escaped(format!("{error:#}")));
}
