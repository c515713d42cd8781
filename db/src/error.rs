//! What can go wrong with a database, as far as callers act differently on it.

use std::sync::Arc;

use proto::{ErrorCode, Fault};
use thiserror::Error;

/// What an engine said. Shared, because one failed commit fails many writes.
type Source = Arc<dyn std::error::Error + Send + Sync>;

/// A database operation that failed. The message has neither SQL nor paths nor values in it, so
/// that it may be sent to a peer; those stand in the source.
#[derive(Debug, Clone, Error)]
pub enum DbError {
    /// The database cannot be reached or used now, and nothing was changed. A later try may
    /// succeed.
    #[error("database unavailable: cannot {what}")]
    Unavailable {
        /// What could not be done, as a verb.
        what: &'static str,
        /// What the engine said.
        source: Source,
    },
    /// No server of the database serves; nothing was changed. The log was told when it began.
    #[error("database unavailable: away")]
    Away {
        /// What was found when a server was last looked for.
        source: Source,
    },
    /// The database takes reads but no writes for now; nothing was changed. The log was told when
    /// it began.
    #[error("database unavailable: it takes no writes")]
    ReadsOnly {
        /// Why not.
        source: Source,
    },
    /// The file of the database was removed, moved or replaced under this process; nothing was
    /// changed. The log was told when it began.
    #[error("database unavailable: its file was removed, moved or replaced")]
    Moved {
        /// Which file, and what was found.
        source: Source,
    },
    /// The file of the database is damaged; nothing was changed. The log was told when it began.
    #[error("database unavailable: it is damaged, restore it from a backup and restart")]
    Damaged {
        /// What the engine said.
        source: Source,
    },
    /// The tables are missing though there were some; nothing was changed.
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
    /// It took longer than a caller waits; nothing was changed.
    #[error("database unavailable: {what} took too long")]
    TimedOut {
        /// What took too long.
        what: &'static str,
    },
    /// The database was closed: this daemon is stopping. Nothing was changed.
    #[error("database unavailable: closed")]
    Closed,
    /// A row with the same unique key exists; nothing was changed.
    #[error("exists already")]
    Conflict {
        /// What the engine said.
        source: Source,
    },
    /// The database cannot hold a value: its characters, or its length, do not fit in the column;
    /// nothing was changed. Trying again is of no use.
    #[error("a name does not fit in the database")]
    Unfit {
        /// What the engine said.
        source: Source,
    },
    /// The commit may or may not have happened: read before doing it again.
    #[error("outcome of the database commit unknown")]
    UnknownOutcome {
        /// What the engine said, when it said anything.
        source: Option<Source>,
    },
    /// The work that was to be done inside the database panicked; nothing was changed.
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
    /// A statement or the database file itself is wrong; nothing was changed.
    #[error("database error: cannot {what}")]
    Other {
        /// What could not be done, as a verb.
        what: &'static str,
        /// What the engine said.
        source: Source,
    },
}

impl DbError {
    /// Whether nothing was changed and a later try may succeed.
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            DbError::Unavailable { .. }
                | DbError::Away { .. }
                | DbError::ReadsOnly { .. }
                | DbError::Moved { .. }
                | DbError::Damaged { .. }
                | DbError::Uninitialised { .. }
                | DbError::TimedOut { .. }
                | DbError::Closed
        )
    }

    /// Whether the database is being waited for. Whoever does that has logged it, once for all
    /// calls that fail because of it.
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

    /// Whether writes fail until somebody cures the database, which is found out without a write.
    pub fn refuses_writes(&self) -> bool {
        matches!(
            self,
            DbError::ReadsOnly { .. } | DbError::Moved { .. } | DbError::Damaged { .. }
        )
    }

    /// Passes on what was found under a key. No row has a key that the database cannot hold.
    ///
    /// # Errors
    /// Those of `result`, but for [`DbError::Unfit`].
    pub fn found<T>(result: Result<Option<T>, DbError>) -> Result<Option<T>, DbError> {
        match result {
            Err(DbError::Unfit { .. }) => Ok(None),
            result => result,
        }
    }

    /// Whether a row with the same unique key exists.
    pub fn is_conflict(&self) -> bool {
        matches!(self, DbError::Conflict { .. })
    }

    /// The kind of failure that a peer is told.
    pub fn code(&self) -> ErrorCode {
        match self {
            DbError::Conflict { .. } => ErrorCode::Exists,
            DbError::Unfit { .. } => ErrorCode::BadRequest,
            _ if self.is_unavailable() => ErrorCode::Unavailable,
            _ => ErrorCode::Unknown,
        }
    }
}

impl From<DbError> for Fault {
    /// What a peer is told; the causes are for the log.
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
