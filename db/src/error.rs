//! Errors of databases, by what a caller does about them.

use std::sync::Arc;

use proto::{ErrorCode, Fault};
use thiserror::Error;

/// The error of the engine. Shared, because one failed commit fails several writes.
type Source = Arc<dyn std::error::Error + Send + Sync>;

/// An error of a database operation. The message holds no SQL, path or value, so that it may be sent to a
/// peer; the source does.
#[derive(Debug, Clone, Error)]
pub enum DbError {
    /// The database cannot be used now; nothing was changed. A retry may succeed.
    #[error("database unavailable: cannot {what}")]
    Unavailable {
        /// The failed action, as a verb.
        what: &'static str,
        /// The error of the engine.
        source: Source,
    },
    /// No server of the database serves; nothing was changed. The start of this state is logged.
    #[error("database unavailable: away")]
    Away {
        /// The error of the latest search for a server.
        source: Source,
    },
    /// The database takes reads but no writes for now; nothing was changed. The start of this state is
    /// logged.
    #[error("database unavailable: it takes no writes")]
    ReadsOnly {
        /// Why not.
        source: Source,
    },
    /// The file of the database was removed, moved or replaced under this process; nothing was
    /// changed. The start of this state is logged.
    #[error("database unavailable: its file was removed, moved or replaced")]
    Moved {
        /// Which file, and what was found.
        source: Source,
    },
    /// The file of the database is damaged; nothing was changed. The start of this state is logged.
    #[error("database unavailable: it is damaged, restore it from a backup and restart")]
    Damaged {
        /// The error of the engine.
        source: Source,
    },
    /// The tables are missing, although there were some; nothing was changed.
    #[error(
        "tables of {component} are missing: restore the database, \
         or run tnv-{component} --config FILE --init-database to begin with an empty one"
    )]
    Lost {
        /// Whose tables.
        component: String,
        /// Where they are missing, and how it is known that there were some.
        source: Source,
    },
    /// The database lacks tables or columns; nothing was changed.
    #[error(
        "database unavailable: tables of {component} are missing or old, \
         run tnv-{component} --config FILE --init-database"
    )]
    Uninitialised {
        /// Whose tables.
        component: &'static str,
    },
    /// A table lacks the index of a statement that would read the whole table without it. Nothing was read.
    #[error(
        "cannot {what}: the database has no index for it; run the program of this server with \
         --config FILE --init-database, which adds the index"
    )]
    NoIndex {
        /// The failed action, as a verb.
        what: &'static str,
        /// The error of the engine.
        source: Source,
    },
    /// The operation timed out; nothing was changed.
    #[error("database unavailable: {what} took too long")]
    TimedOut {
        /// The action that took too long.
        what: &'static str,
    },
    /// The database is closed: this daemon is stopping. Nothing was changed.
    #[error("database unavailable: closed")]
    Closed,
    /// A row with the same unique key exists; nothing was changed.
    #[error("exists already")]
    Conflict {
        /// The error of the engine.
        source: Source,
    },
    /// A value does not fit in its column, by characters or length; nothing was changed. A retry fails, too.
    #[error("a name does not fit in the database")]
    Unfit {
        /// The error of the engine.
        source: Source,
    },
    /// The commit may or may not have happened: read before doing it again.
    #[error("outcome of the database commit unknown")]
    UnknownOutcome {
        /// The error of the engine, if it gave one.
        source: Option<Source>,
    },
    /// The work inside the transaction panicked; nothing was changed.
    #[error("internal error")]
    Panicked,
    /// The schema in the database is of a later version of this program.
    #[error("schema of {component} has version {found}, this program knows {known} at most")]
    SchemaTooNew {
        /// Whose tables.
        component: String,
        /// The version in the database.
        found: u32,
        /// The version of this program.
        known: u32,
    },
    /// Any other error; nothing was changed.
    #[error("database error: cannot {what}")]
    Other {
        /// The failed action, as a verb.
        what: &'static str,
        /// The error of the engine.
        source: Source,
    },
}

impl DbError {
    /// True if nothing was changed and a retry may succeed.
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            DbError::Unavailable { .. }
                | DbError::Away { .. }
                | DbError::ReadsOnly { .. }
                | DbError::Moved { .. }
                | DbError::Damaged { .. }
                | DbError::Uninitialised { .. }
                | DbError::NoIndex { .. }
                | DbError::TimedOut { .. }
                | DbError::Closed
        )
    }

    /// True if a monitor waits for the database, and has logged that once for all calls that fail.
    pub fn is_awaited(&self) -> bool {
        matches!(
            self,
            DbError::Away { .. }
                | DbError::ReadsOnly { .. }
                | DbError::Moved { .. }
                | DbError::Damaged { .. }
                | DbError::Uninitialised { .. }
        )
    }

    /// True if writes fail until the database is repaired, which a monitor notices without a write.
    pub fn refuses_writes(&self) -> bool {
        matches!(
            self,
            DbError::ReadsOnly { .. } | DbError::Moved { .. } | DbError::Damaged { .. }
        )
    }

    /// Maps [`DbError::Unfit`] of a lookup to `None`: no row has a key that does not fit.
    ///
    /// # Errors
    /// Those of `result`, except [`DbError::Unfit`].
    pub fn found<T>(result: Result<Option<T>, DbError>) -> Result<Option<T>, DbError> {
        match result {
            Err(DbError::Unfit { .. }) => Ok(None),
            result => result,
        }
    }

    /// True if a row with the same unique key exists.
    pub fn is_conflict(&self) -> bool {
        matches!(self, DbError::Conflict { .. })
    }

    /// The error code for a peer.
    pub fn code(&self) -> ErrorCode {
        match self {
            DbError::Conflict { .. } => ErrorCode::Exists,
            DbError::Unfit { .. } => ErrorCode::BadRequest,
            _ if self.is_unavailable() => ErrorCode::Unavailable,
            _ => ErrorCode::Unknown,
        }
    }
}

impl DbError {
    /// The fault for a client that can ask another server, or again later: unavailable, whatever is
    /// wrong with the database. Only a value that its column cannot hold fails everywhere.
    pub fn retryable_fault(self) -> Fault {
        let code = match self {
            DbError::Unfit { .. } => ErrorCode::BadRequest,
            _ => ErrorCode::Unavailable,
        };
        Fault {
            code,
            ..Fault::from(self)
        }
    }
}

impl From<DbError> for Fault {
    /// The fault for a peer; its cause is only logged.
    fn from(error: DbError) -> Fault {
        let fault = Fault::new(error.code(), error.to_string());
        let is_awaited = error.is_awaited();
        match std::error::Error::source(&error) {
            Some(_) if !is_awaited => fault.because(format!("{:#}", anyhow::Error::from(error))),
            _ => fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Arc::new(std::io::Error::other("/secret/path"))
    }

    #[test]
    fn only_a_value_that_does_not_fit_is_no_outage() {
        let unfit = DbError::Unfit { source: source() };
        assert_eq!(unfit.retryable_fault().code, ErrorCode::BadRequest);
        let unknown = DbError::UnknownOutcome { source: None };
        assert_eq!(unknown.retryable_fault().code, ErrorCode::Unavailable);
    }

    #[test]
    fn a_fault_tells_the_kind_and_no_internals() {
        let what = "commit";
        for (error, code) in [
            (
                DbError::Unavailable {
                    what,
                    source: source(),
                },
                ErrorCode::Unavailable,
            ),
            (DbError::Away { source: source() }, ErrorCode::Unavailable),
            (
                DbError::ReadsOnly { source: source() },
                ErrorCode::Unavailable,
            ),
            (DbError::Moved { source: source() }, ErrorCode::Unavailable),
            (
                DbError::Damaged { source: source() },
                ErrorCode::Unavailable,
            ),
            (DbError::Unfit { source: source() }, ErrorCode::BadRequest),
            (
                DbError::Uninitialised {
                    component: "tracker",
                },
                ErrorCode::Unavailable,
            ),
            (
                DbError::NoIndex {
                    what,
                    source: source(),
                },
                ErrorCode::Unavailable,
            ),
            (DbError::TimedOut { what }, ErrorCode::Unavailable),
            (DbError::Closed, ErrorCode::Unavailable),
            (DbError::Conflict { source: source() }, ErrorCode::Exists),
            (
                DbError::UnknownOutcome {
                    source: Some(source()),
                },
                ErrorCode::Unknown,
            ),
            (DbError::Panicked, ErrorCode::Unknown),
            (
                DbError::Other {
                    what,
                    source: source(),
                },
                ErrorCode::Unknown,
            ),
        ] {
            assert_eq!(error.is_unavailable(), code == ErrorCode::Unavailable);
            assert_eq!(error.is_conflict(), code == ErrorCode::Exists);
            let fault = Fault::from(error);
            assert_eq!(fault.code, code);
            assert!(!fault.message.contains("secret"), "{fault}");
        }
    }

    #[test]
    fn the_chain_ends_with_what_the_engine_said() {
        let error = DbError::Conflict { source: source() };
        let chain = format!("{:#}", anyhow::Error::from(error));
        assert_eq!(chain, "exists already: /secret/path");
    }
}
