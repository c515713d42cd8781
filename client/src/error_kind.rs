//! Kinds of failures, for exit codes and statuses.

use proto::{ErrorCode, Fault};

use crate::Error;

/// The kind of a failure, for exit codes and statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file or user does not exist.
    NotFound,
    /// The file exists already.
    Exists,
    /// The storages have no space.
    NoSpace,
    /// The servers, or their databases or disks, are unavailable. A later attempt may succeed.
    Unavailable,
    /// The servers are overloaded. A later attempt may succeed.
    Busy,
    /// The stored content does not match its checksum.
    Damaged,
    /// The storages take no writes.
    ReadOnly,
    /// The client is not allowed to do this.
    Forbidden,
    /// The request is invalid.
    BadRequest,
    /// A server was silent for too long.
    Timeout,
    /// A connection was refused or broke.
    Network,
    /// A peer sent an invalid reply.
    Protocol,
    /// An upload may or may not have been stored.
    OutcomeUnknown,
    /// The content to upload cannot be read, or changed.
    Source,
    /// A failure without a code, as C++ servers send it, or failures of several kinds.
    Unknown,
}

impl ErrorKind {
    /// True if another server, or the same one later, may succeed.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            ErrorKind::Unavailable | ErrorKind::Busy | ErrorKind::Timeout | ErrorKind::Network
        )
    }
}

/// Text of a C++ tracker's failure for an unknown application. It has no code.
const UNKNOWN_APP: &str = "unknown appid: ";

/// The kind of a server's failure.
pub(crate) fn kind_of_fault(fault: &Fault) -> ErrorKind {
    match fault.code {
        ErrorCode::Unknown if fault.message.contains(UNKNOWN_APP) => ErrorKind::BadRequest,
        code => kind_of(code),
    }
}

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
