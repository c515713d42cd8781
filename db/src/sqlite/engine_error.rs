//! The errors of SQLite, by what a caller can do about them.

use std::sync::Arc;

use rusqlite::{ErrorCode, ffi};

use crate::DbError;

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> DbError {
        engine_error("run a statement", error)
    }
}

/// Maps an error of SQLite to what a caller can do about it.
pub(super) fn engine_error(what: &'static str, error: rusqlite::Error) -> DbError {
    let unique = [
        ffi::SQLITE_CONSTRAINT_UNIQUE,
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY,
        ffi::SQLITE_CONSTRAINT_ROWID,
    ];
    let is_unique = error
        .sqlite_error()
        .is_some_and(|inner| unique.contains(&inner.extended_code));
    let extended = error.sqlite_error().map(|inner| inner.extended_code);
    let code = error.sqlite_error_code();
    let source = Arc::new(error);
    match code {
        _ if is_unique => DbError::Conflict { source },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => DbError::Damaged { source },
        // The log is shorter than its index says: it was truncated.
        _ if extended == Some(ffi::SQLITE_IOERR_SHORT_READ) => DbError::Damaged { source },
        Some(ErrorCode::TooBig | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch) => {
            DbError::Unfit { source }
        }
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::OutOfMemory
            | ErrorCode::FileLockingProtocolFailed,
        ) => DbError::Unavailable { what, source },
        _ => DbError::Other { what, source },
    }
}

pub(super) fn unavailable(what: &'static str, error: std::io::Error) -> DbError {
    DbError::Unavailable {
        what,
        source: Arc::new(error),
    }
}
