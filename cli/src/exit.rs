//! Exit codes, which are stable and documented in `--help`.

use std::io;
use std::process::ExitCode;

use client::{ErrorKind, ProtocolError};
use proto::tracker;

/// The exit code of the process.
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

impl Exit {
    /// The name of the code in JSON, which is as stable as the code.
    pub(super) fn name(self) -> &'static str {
        match self {
            Exit::Ok => "ok",
            Exit::Other => "other",
            Exit::Usage => "usage",
            Exit::NotFound => "not_found",
            Exit::Exists => "exists",
            Exit::Unavailable => "unavailable",
            Exit::NoSpace => "no_space",
            Exit::Damaged => "damaged",
            Exit::OutcomeUnknown => "outcome_unknown",
            Exit::Forbidden => "forbidden",
            Exit::Local => "local",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// A failure of the command itself, not of the library, with its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct CliError {
    exit: Exit,
    message: String,
}

impl CliError {
    fn new(exit: Exit, message: impl Into<String>) -> CliError {
        let message = message.into();
        CliError { exit, message }
    }

    pub(super) fn usage(message: impl Into<String>) -> CliError {
        CliError::new(Exit::Usage, message)
    }

    pub(super) fn local(message: impl Into<String>) -> CliError {
        CliError::new(Exit::Local, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> CliError {
        CliError::new(Exit::NotFound, message)
    }

    pub(super) fn exists(message: impl Into<String>) -> CliError {
        CliError::new(Exit::Exists, message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> CliError {
        CliError::new(Exit::Unavailable, message)
    }
}

/// The exit code of an error: that of its first cause with one.
pub(super) fn of(error: &anyhow::Error) -> Exit {
    error.chain().find_map(of_cause).unwrap_or(Exit::Other)
}

/// What to do about an error of a server. `None` if the message itself says it.
pub(super) fn advice(error: &anyhow::Error) -> Option<&'static str> {
    let of_server = error.chain().find_map(|cause| {
        let carried = || cause.downcast_ref().and_then(client::Error::of_io);
        cause.downcast_ref().or_else(carried)
    })?;
    if is_no_tracker(of_server) {
        return Some(
            "give the addresses of trackers, port 21000 by default: --trackers, TNV_TRACKERS or \
             trackers in the settings file",
        );
    }
    Some(match of_kind(of_server.kind()) {
        Exit::NotFound => {
            "check the id, --app and --user: a file belongs to its user; tnv list shows the user's ids"
        }
        Exit::Unavailable => {
            "check that the address is right and the server runs: tnv monitor shows the cluster that \
             --trackers, TNV_TRACKERS or the settings file name"
        }
        Exit::NoSpace => "tnv monitor shows the space of each group and what its storages refuse",
        Exit::Damaged => {
            "the logs of the named storages tell more; a copy of the file has to replace it"
        }
        Exit::OutcomeUnknown => {
            "ask with tnv stat whether the id exists before you upload it again"
        }
        Exit::Forbidden => {
            "check that this machine is allowed and has the key of the server: \
             --client-key-file, TNV_KEY_FILE or key_file in the settings file; tnv admin: --key-file"
        }
        _ => return None,
    })
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(error) = cause.downcast_ref::<CliError>() {
        return Some(error.exit);
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

/// True if no address of a tracker is that of a tracker.
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
