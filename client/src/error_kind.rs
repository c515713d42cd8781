//! Which kind a failure is of, for exit codes and statuses.

use proto::{ErrorCode, Fault};

use crate::Error;

/// The small set of kinds behind exit codes and statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such file or user.
    NotFound,
    /// The file exists already.
    Exists,
    /// No room at the storages.
    NoSpace,
    /// The servers, or what they depend on, are away; a later try may succeed.
    Unavailable,
    /// The servers have too much to do; a later try may succeed.
    Busy,
    /// The stored content does not match its checksum.
    Damaged,
    /// The storages take no writes.
    ReadOnly,
    /// The peer may not do this.
    Forbidden,
    /// The request itself is wrong.
    BadRequest,
    /// A server was silent for too long.
    Timeout,
    /// No connection, or a broken one.
    Network,
    /// A peer that does not speak the protocol.
    Protocol,
    /// An upload may or may not have been stored.
    OutcomeUnknown,
    /// The local content is at fault.
    Source,
    /// A failure without a kind, which is what a C++ server sends, or a mixture of kinds.
    Unknown,
}

impl ErrorKind {
    /// Whether another server, or the same one later, may well succeed.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            ErrorKind::Unavailable | ErrorKind::Busy | ErrorKind::Timeout | ErrorKind::Network
        )
    }
}

/// How a C++ tracker, whose failures have no kind, refuses an application that it does not serve.
const UNKNOWN_APP: &str = "unknown appid: ";

/// The kind of a server's failure.
pub(crate) fn kind_of_fault(fault: &Fault) -> ErrorKind {
    match fault.code {
        ErrorCode::Unknown if fault.message.contains(UNKNOWN_APP) => ErrorKind::BadRequest,
        code => kind_of(code),
    }
}

/// The kind of a failure with this code.
fn kind_of(code: ErrorCode) -> ErrorKind {
    match code {
        ErrorCode::Unknown => ErrorKind::Unknown,
        ErrorCode::BadRequest => ErrorKind::BadRequest,
        ErrorCode::NotFound => ErrorKind::NotFound,
        ErrorCode::Exists => ErrorKind::Exists,
        ErrorCode::NoSpace => ErrorKind::NoSpace,
        ErrorCode::Unavailable => ErrorKind::Unavailable,
        ErrorCode::Busy => ErrorKind::Busy,
        ErrorCode::Damaged => ErrorKind::Damaged,
        ErrorCode::ReadOnly => ErrorKind::ReadOnly,
        ErrorCode::Forbidden => ErrorKind::Forbidden,
    }
}

/// The kind of several failures of one request.
pub(crate) fn shared_kind(errors: &[Error]) -> ErrorKind {
    let kinds: Vec<ErrorKind> = errors.iter().map(Error::kind).collect();
    let full = |kind: &ErrorKind| matches!(kind, ErrorKind::NoSpace | ErrorKind::ReadOnly);
    match kinds.first() {
        Some(&first) if kinds.iter().all(|&kind| kind == first) => first,
        _ if kinds.iter().any(|kind| kind.is_transient()) => ErrorKind::Unavailable,
        _ if kinds.iter().all(full) => ErrorKind::NoSpace,
        _ => ErrorKind::Unknown,
    }
}
