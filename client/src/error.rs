//! Errors of the library and their kinds.

use std::io;
use std::time::Duration;

use proto::{Address, DecodeError, ErrorCode, Fault, FileKey};
use proto::{idserver, storage, tracker};
use thiserror::Error;

use crate::ErrorKind;
use crate::error_kind::{kind_of_fault, shared_kind};

/// The failure of a request. A message does not repeat its `source()`: print the whole chain.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The host name of an address cannot be resolved, or has no address of the family of the local
    /// address.
    #[error("cannot resolve {address}")]
    Resolve {
        /// The address as configured.
        address: Address,
        /// The error of the resolver.
        source: io::Error,
    },
    /// No connection was made, and nothing was sent.
    #[error("cannot connect to {address}")]
    Connect {
        /// The server.
        address: Address,
        /// The error of the last resolved address.
        source: io::Error,
    },
    /// The connection broke.
    #[error("{address}: the connection broke while {doing}")]
    Io {
        /// The peer.
        address: Address,
        /// `sending the request` and the like.
        doing: &'static str,
        /// The error of the system.
        source: io::Error,
    },
    /// The peer did not send its whole reply within the timeout, or moved less than 1 KiB of content for
    /// each second of it.
    #[error("{address}: timed out after {timeout:?} while {doing}")]
    Timeout {
        /// The peer.
        address: Address,
        /// `reading the reply` and the like.
        doing: &'static str,
        /// The timeout.
        timeout: Duration,
    },
    /// The server did not prove that it has the key.
    #[error(
        "{address} is not trusted: {reason}; name it in legacy_hosts if it is a server of the C++ system"
    )]
    Untrusted {
        /// The server.
        address: Address,
        /// The fault in its proof.
        reason: String,
    },
    /// The peer sent an invalid reply.
    #[error("{address} {}", blame(source))]
    Protocol {
        /// The peer.
        address: Address,
        /// The invalid part.
        source: ProtocolError,
    },
    /// The server refused. Its message is the `source()`.
    #[error("{address}: {}", source.code)]
    Fault {
        /// The server.
        address: Address,
        /// Code and message.
        source: Fault,
    },
    /// Several attempts failed. The message lists them all.
    #[error("{what} failed at every address: {}", list(errors))]
    AllFailed {
        /// The request, such as `download`.
        what: &'static str,
        /// The errors in the order of the attempts, at least two.
        errors: Vec<Error>,
    },
    /// The content of a file does not match its checksum.
    #[error(
        "the content of {key} from {} does not match its checksum",
        names(storages)
    )]
    Damaged {
        /// The file.
        key: FileKey,
        /// The storages that sent the content. At least one of them sent damaged bytes.
        storages: Vec<Address>,
    },
    /// The server does not know the command, and no other one does the same.
    #[error(
        "{address} does not know {command}: it is of the C++ system or of an earlier version; \
         upgrade it, or ask another storage"
    )]
    Unsupported {
        /// The server.
        address: Address,
        /// The name of the command.
        command: &'static str,
    },
    /// A storage has another file under the id of the file that is being read.
    #[error("{0} was replaced by another file")]
    Replaced(FileKey),
    /// A range ends beyond the end of the file.
    #[error("the range from byte {offset} on is not within {key} of {size} bytes")]
    OutOfRange {
        /// The file.
        key: FileKey,
        /// First byte of the range.
        offset: u64,
        /// Size of the file, in bytes.
        size: u64,
    },
    /// No tracker or idserver is configured, or no tracker knows an active storage of the user's group.
    #[error("there is no {0} to ask")]
    NoServer(&'static str),
    /// An upload may or may not have stored the file. A further attempt is safe with the same file id
    /// only.
    #[error("it is unknown whether {key} was stored")]
    OutcomeUnknown {
        /// The file that may exist.
        key: FileKey,
        /// Why the attempts failed.
        source: Box<Error>,
    },
    /// The content to upload could not be read.
    #[error("cannot read the content")]
    Source(#[source] io::Error),
    /// The content to upload does not have the announced size. Nothing was stored.
    #[error("the content has {comparison} than the announced {announced} bytes")]
    SourceSize {
        /// `more` or `fewer`.
        comparison: &'static str,
        /// The announced size, in bytes.
        announced: u64,
    },
}

/// Why a reply is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The command byte belongs to another kind of server.
    #[error("{}", wrong_server(*actual, *expected))]
    Command {
        /// The received command.
        actual: u8,
        /// The command of replies from the expected server.
        expected: u8,
    },
    /// The length of the body is negative, too large, or not the requested one.
    #[error("the reply announces a body of {actual} bytes, expected {expected}")]
    BodyLength {
        /// The length in the head.
        actual: i64,
        /// The allowed length, such as `at most 8` or `exactly 8`.
        expected: String,
    },
    /// The body cannot be decoded.
    #[error("the reply cannot be read")]
    Body(#[from] DecodeError),
    /// An upload was answered with success before its content was sent.
    #[error("the upload was answered with success before its end")]
    EarlySuccess,
}

impl Error {
    /// The kind of the failure. Several failures have the kind that they share; else `Unavailable` if a
    /// later attempt may succeed; else `NoSpace` if no storage takes writes.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Resolve { source, .. } | Error::Connect { source, .. } if is_timeout(source) => {
                ErrorKind::Timeout
            }
            Error::Resolve { .. } | Error::Connect { .. } | Error::Io { .. } => ErrorKind::Network,
            Error::Timeout { .. } => ErrorKind::Timeout,
            Error::Protocol { .. } => ErrorKind::Protocol,
            Error::Untrusted { .. } => ErrorKind::Forbidden,
            Error::Fault { source, .. } => kind_of_fault(source),
            Error::AllFailed { errors, .. } => shared_kind(errors),
            Error::Damaged { .. } => ErrorKind::Damaged,
            Error::NoServer(_) | Error::Replaced(_) => ErrorKind::Unavailable,
            Error::OutOfRange { .. } => ErrorKind::BadRequest,
            Error::OutcomeUnknown { .. } => ErrorKind::OutcomeUnknown,
            Error::Source(_) | Error::SourceSize { .. } => ErrorKind::Source,
            Error::Unsupported { .. } => ErrorKind::Unknown,
        }
    }

    /// The library's error inside an i/o error of [`Download`](crate::Download) or
    /// [`RemoteFile`](crate::RemoteFile).
    pub fn of_io(error: &io::Error) -> Option<&Error> {
        error.get_ref()?.downcast_ref()
    }

    /// The messages of the error and all its causes.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            text.push_str(": ");
            text.push_str(&source.to_string());
            cause = source.source();
        }
        text
    }

    /// True if another server may answer: each one has an `allow_hosts` of its own, for example. False
    /// for a refusal that all servers share.
    pub(crate) fn moves_on(&self) -> bool {
        match self {
            Error::Fault { source, .. } => !matches!(
                source.code,
                ErrorCode::BadRequest | ErrorCode::NotFound | ErrorCode::Exists
            ),
            Error::Source(_)
            | Error::SourceSize { .. }
            | Error::OutcomeUnknown { .. }
            | Error::Replaced(_)
            | Error::OutOfRange { .. } => false,
            _ => true,
        }
    }

    pub(crate) fn fault_code(&self) -> Option<ErrorCode> {
        match self {
            Error::Fault { source, .. } => Some(source.code),
            _ => None,
        }
    }

    /// Joins the errors of all attempts: a single error stays as it is, several become
    /// [`Error::AllFailed`].
    pub fn all_failed(what: &'static str, mut errors: Vec<Error>) -> Error {
        match (errors.pop(), errors.is_empty()) {
            (None, _) => Error::NoServer("server"),
            (Some(only), true) => only,
            (Some(last), false) => {
                errors.push(last);
                Error::AllFailed { what, errors }
            }
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let kind = match error.kind() {
            ErrorKind::NotFound => io::ErrorKind::NotFound,
            ErrorKind::Forbidden => io::ErrorKind::PermissionDenied,
            ErrorKind::Timeout => io::ErrorKind::TimedOut,
            ErrorKind::BadRequest => io::ErrorKind::InvalidInput,
            ErrorKind::Protocol | ErrorKind::Damaged => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// True for a timeout. Linux reports `WouldBlock` for a read or write, `TimedOut` for a connect.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// Names the server that answered instead of the expected one, if its command byte tells.
fn wrong_server(actual: u8, expected: u8) -> String {
    let name = |command| match command {
        tracker::REPLY => Some("a tracker"),
        idserver::REPLY => Some("an idserver"),
        storage::REPLY => Some("a storage"),
        _ => None,
    };
    let wanted = name(expected).unwrap_or("the server that was expected");
    match (name(actual), actual) {
        (Some(is), _) => format!("that is {is}, not {wanted}"),
        // "HTTP/1.1 400" has a space at the position of the command.
        (None, b' ') => format!("that speaks HTTP, it is not {wanted}"),
        _ => format!("that is not {wanted}: its answer bears command {actual}, not {expected}"),
    }
}

/// A peer of another kind has not broken its own protocol.
fn blame(source: &ProtocolError) -> &'static str {
    match source {
        ProtocolError::Command { .. } => "is the wrong server",
        _ => "broke the protocol",
    }
}

fn names(storages: &[Address]) -> String {
    let names: Vec<&str> = storages.iter().map(Address::as_str).collect();
    names.join(" and ")
}

fn list(errors: &[Error]) -> String {
    let texts: Vec<String> = errors.iter().map(Error::chain).collect();
    texts.join("; ")
}
