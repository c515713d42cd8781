//! Exit codes. They are documented in `--help` and stable.

use std::fmt;
use std::io;
use std::process::ExitCode;

use client::{ErrorKind, ProtocolError};
use serde_json::json;

use super::output::{self, Output};
use proto::tracker;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    Ok = 0,
    Other = 1,
    Usage = 2,
    NotFound = 3,
    Exists = 4,
    Unavailable = 5,
    NoSpace = 6,
    Damaged = 7,
    OutcomeUnknown = 8,
    Forbidden = 9,
    Local = 10,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// A failure of the command line itself, not of the library, and the code it ends with.
#[derive(Debug)]
pub(super) struct Mistake {
    exit: Exit,
    message: String,
}

impl Mistake {
    pub(super) fn usage(message: impl Into<String>) -> Mistake {
        Mistake {
            exit: Exit::Usage,
            message: message.into(),
        }
    }

    pub(super) fn local(message: impl Into<String>) -> Mistake {
        Mistake {
            exit: Exit::Local,
            message: message.into(),
        }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Mistake {
        Mistake {
            exit: Exit::NotFound,
            message: message.into(),
        }
    }

    pub(super) fn exists(message: impl Into<String>) -> Mistake {
        Mistake {
            exit: Exit::Exists,
            message: message.into(),
        }
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Mistake {
        Mistake {
            exit: Exit::Unavailable,
            message: message.into(),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistake {}

/// The failures among several files: each is reported at once, the first decides the exit code.
#[derive(Debug, Default)]
pub(super) struct Failures {
    first: Option<Exit>,
}

impl Failures {
    /// Reports a failure, if there is one. Tells whether there was none.
    pub(super) fn note(&mut self, result: anyhow::Result<()>) -> bool {
        if let Err(error) = &result {
            output::print_error(error);
            self.first.get_or_insert(of(error));
        }
        result.is_ok()
    }

    /// As [`Failures::note`], for one of several things that were named on the command line. With
    /// JSON a failure is an object on stdout, too: `name` under `kind`, the error and its code.
    pub(super) fn note_named(
        &mut self,
        output: &Output,
        (kind, name): (&'static str, &str),
        result: anyhow::Result<()>,
    ) -> bool {
        if let Err(error) = &result
            && output.is_json()
        {
            let line = json!({
                kind: name,
                "error": format!("{error:#}"),
                "exit_code": of(error) as u8,
            });
            output.line(&line.to_string());
        }
        self.note(result)
    }

    pub(super) fn exit(&self) -> Exit {
        self.first.unwrap_or(Exit::Ok)
    }
}

/// The code of an error: that of the first cause that has one.
pub(super) fn of(error: &anyhow::Error) -> Exit {
    error.chain().find_map(of_cause).unwrap_or(Exit::Other)
}

/// Whether writing to stdout failed because its reader is gone.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<output::StdoutClosed>().is_some()
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(mistake) = cause.downcast_ref::<Mistake>() {
        return Some(mistake.exit);
    }
    if cause.is::<::bench::UsageError>() {
        return Some(Exit::Usage);
    }
    if let Some(error) = cause.downcast_ref::<client::Error>() {
        return Some(of_error(error));
    }
    let error = cause.downcast_ref::<io::Error>()?;
    Some(client::Error::of_io(error).map_or(Exit::Local, of_error))
}

fn of_error(error: &client::Error) -> Exit {
    match is_no_tracker(error) {
        true => Exit::Usage,
        false => of_kind(error.kind()),
    }
}

/// Whether what was given for a tracker is something else, at every address.
fn is_no_tracker(error: &client::Error) -> bool {
    match error {
        client::Error::Protocol { source, .. } => {
            matches!(source, ProtocolError::Command { expected, .. } if *expected == tracker::REPLY)
        }
        client::Error::AllFailed { errors, .. } => errors.iter().all(is_no_tracker),
        _ => false,
    }
}

fn of_kind(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::NotFound => Exit::NotFound,
        ErrorKind::Exists => Exit::Exists,
        kind if kind.is_transient() => Exit::Unavailable,
        ErrorKind::NoSpace | ErrorKind::ReadOnly => Exit::NoSpace,
        ErrorKind::Damaged => Exit::Damaged,
        ErrorKind::OutcomeUnknown => Exit::OutcomeUnknown,
        ErrorKind::Forbidden => Exit::Forbidden,
        ErrorKind::Source => Exit::Local,
        ErrorKind::BadRequest => Exit::Usage,
        _ => Exit::Other,
    }
}
