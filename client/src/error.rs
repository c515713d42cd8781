//! What can go wrong, and of what kind it is for those who must choose an exit code or a status.

use std::io;
use std::time::Duration;

use proto::{Address, DecodeError, ErrorCode, Fault, FileKey};
use proto::{idserver, storage, tracker};
use thiserror::Error;

use crate::ErrorKind;
use crate::error_kind::{kind_of_fault, shared_kind};

/// A request that failed. A message does not repeat its `source()`: print the whole chain.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The host name of an address has no meaning here, or no address of the family of the local
    /// address to connect from.
    #[error("cannot resolve {address}")]
    Resolve {
        /// The address as it was given.
        address: Address,
        /// What the resolver said.
        source: io::Error,
    },
    /// No connection could be made; nothing was sent.
    #[error("cannot connect to {address}")]
    Connect {
        /// Who was called.
        address: Address,
        /// The reason for the last of the resolved addresses.
        source: io::Error,
    },
    /// The connection broke.
    #[error("{address}: the connection broke while {doing}")]
    Io {
        /// The peer.
        address: Address,
        /// `sending the request` and the like.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The peer did not answer whole within the time-out, or moved less than 1 KiB of content for
    /// each second of it.
    #[error("{address}: timed out after {timeout:?} while {doing}")]
    Timeout {
        /// The peer.
        address: Address,
        /// `reading the reply` and the like.
        doing: &'static str,
        /// The time-out that passed.
        timeout: Duration,
    },
    /// The peer does not speak the protocol.
    #[error("{address} broke the protocol")]
    Protocol {
        /// The peer.
        address: Address,
        /// In which way.
        source: ProtocolError,
    },
    /// The server refused. Its message is the `source()`.
    #[error("{address}: {}", source.code)]
    Fault {
        /// The server.
        address: Address,
        /// Kind and message.
        source: Fault,
    },
    /// Each address was tried, and each failed in its own way; the message lists them all.
    #[error("{what} failed at every address: {}", list(errors))]
    AllFailed {
        /// What was asked for, such as `download`.
        what: &'static str,
        /// One error or more for each address, in the order of the attempts; at least two.
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
        /// The storages that sent the content; at least one of them sent damaged bytes.
        storages: Vec<Address>,
    },
    /// There is nobody to ask: no tracker is configured, no tracker knows an active storage of
    /// the user's group, or no idserver is configured.
    #[error("there is no {0} to ask")]
    NoServer(&'static str),
    /// An upload may or may not have stored the file. To try again is safe with the same file id
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
    /// The content to upload is not of the announced size: it changed meanwhile. Nothing was
    /// stored.
    #[error("the content has {comparison} than the announced {announced} bytes")]
    SourceSize {
        /// `more` or `fewer`.
        comparison: &'static str,
        /// The size the upload was to have.
        announced: u64,
    },
}

/// In which way a reply is not one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The command byte of the reply is another kind of server's.
    #[error("{}", wrong_server(*actual, *expected))]
    Command {
        /// What was read.
        actual: u8,
        /// What this kind of server sends.
        expected: u8,
    },
    /// The reply announces a body that is negative, too long, or not what was asked for.
    #[error("the reply announces a body of {actual} bytes, expected {expected}")]
    BodyLength {
        /// The length in the head.
        actual: i64,
        /// What the request allows: `at most 8` or `exactly 8`.
        expected: String,
    },
    /// The body does not hold what it should.
    #[error("the reply cannot be read")]
    Body(#[from] DecodeError),
    /// An upload was answered with success before its content was sent.
    #[error("the upload was answered with success before its end")]
    EarlySuccess,
}

impl Error {
    /// What kind of failure this is. Where several addresses failed it is the kind they share;
    /// else `Unavailable` if a later try may help; else `NoSpace` if none takes writes.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Resolve { source, .. } | Error::Connect { source, .. } if is_timeout(source) => {
                ErrorKind::Timeout
            }
            Error::Resolve { .. } | Error::Connect { .. } | Error::Io { .. } => ErrorKind::Network,
            Error::Timeout { .. } => ErrorKind::Timeout,
            Error::Protocol { .. } => ErrorKind::Protocol,
            Error::Fault { source, .. } => kind_of_fault(source),
            Error::AllFailed { errors, .. } => shared_kind(errors),
            Error::Damaged { .. } => ErrorKind::Damaged,
            Error::NoServer(_) => ErrorKind::Unavailable,
            Error::OutcomeUnknown { .. } => ErrorKind::OutcomeUnknown,
            Error::Source(_) | Error::SourceSize { .. } => ErrorKind::Source,
        }
    }

    /// The error of this library inside an i/o error that [`Download`](crate::Download) or
    /// [`RemoteFile`](crate::RemoteFile) returned.
    pub fn of_io(error: &io::Error) -> Option<&Error> {
        error.get_ref()?.downcast_ref()
    }

    /// The message with those of all its causes.
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
            Error::Source(_) | Error::SourceSize { .. } | Error::OutcomeUnknown { .. } => false,
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

/// Linux says `WouldBlock` for a socket's read or write time-out, `TimedOut` for a connect's.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// What answers where another server was expected, as far as its first bytes tell.
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
        // "HTTP/1.1 400" has a blank where a reply has its command.
        (None, b' ') => format!("that speaks HTTP, it is not {wanted}"),
        _ => format!("that is not {wanted}: its answer bears command {actual}, not {expected}"),
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
