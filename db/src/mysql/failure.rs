//! Failures of one try of a call, by how to react.

use std::fmt;
use std::io;
use std::sync::Arc;

use mysql::MySqlError;

use super::Effect;
use crate::DbError;

/// A failed statement. [`super::Mysql::run`] decides about a retry.
#[derive(Debug)]
pub struct Failure {
    pub(super) kind: Kind,
    source: Source,
}

type Source = Arc<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// The server undid it because of a conflict with others; the connection is good.
    Undone,
    /// The server does not serve; nothing was done.
    Refused,
    /// It was sent, and its outcome is unknown.
    Lost,
    /// The account lacks the right; nothing was done.
    Denied,
    /// The disk of the server is full; nothing was done.
    Full,
    /// A column cannot hold the value, nor be compared with it; nothing was done.
    Unfit,
    /// A column without a default got no value; nothing was done.
    Null,
    /// A unique key exists.
    Conflict,
    /// A unique key exists, and the caller has seen that the row is not the one it wanted to make.
    ConflictWithAnother,
    /// Tables or columns are missing.
    Schema,
    /// The index that the statement names is missing.
    NoIndex,
    /// The table, column or index to make exists.
    Made,
    /// Any other error.
    Other,
    /// An error from outside of the engine.
    Error(DbError),
}

impl Failure {
    /// True if a row with the same unique key exists.
    pub fn is_conflict(&self) -> bool {
        matches!(self.kind, Kind::Conflict | Kind::ConflictWithAnother)
    }

    /// A conflict with a row that the caller has looked at and that no try of this call has made. The
    /// call ends with [`DbError::Conflict`] then, even after a try whose outcome is unknown.
    pub fn with_another_row(self) -> Failure {
        let kind = match self.kind {
            Kind::Conflict => Kind::ConflictWithAnother,
            kind => kind,
        };
        Failure { kind, ..self }
    }

    /// True if a column without a default got no value.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// Not an error of the engine: the row of another writer is not visible yet.
    pub fn not_yet_visible() -> Failure {
        Failure {
            kind: Kind::Undone,
            source: Arc::new(io::Error::other("a row that exists is not to be seen yet")),
        }
    }

    /// True if the disk of the server is full.
    pub(super) fn is_full(&self) -> bool {
        matches!(self.kind, Kind::Full)
    }

    /// Marks a failure while connecting: nothing was sent.
    pub(super) fn while_connecting(self) -> Failure {
        let kind = match self.kind {
            Kind::Error(error) => Kind::Error(error),
            _ => Kind::Refused,
        };
        Failure { kind, ..self }
    }

    /// True if the connection or its server cannot serve calls of this effect any more.
    pub(super) fn is_of_the_server(&self, effect: Effect) -> bool {
        match self.kind {
            Kind::Refused | Kind::Lost | Kind::Schema => true,
            Kind::Denied => effect != Effect::Read,
            _ => false,
        }
    }

    /// True if a server refuses a write of no row, and so every write.
    pub(super) fn is_no_to_writes(&self) -> bool {
        matches!(self.kind, Kind::Refused | Kind::Denied)
    }

    pub(super) fn into_error(self, what: &'static str) -> DbError {
        let source = self.source;
        match self.kind {
            Kind::Conflict | Kind::ConflictWithAnother => DbError::Conflict { source },
            Kind::Unfit => DbError::Unfit { source },
            Kind::NoIndex => DbError::NoIndex { what, source },
            Kind::Lost | Kind::Refused | Kind::Undone | Kind::Denied | Kind::Full => {
                DbError::Unavailable { what, source }
            }
            Kind::Schema | Kind::Made | Kind::Null | Kind::Other => DbError::Other { what, source },
            Kind::Error(error) => error,
        }
    }

    /// The cause, without the text that the database is unavailable.
    pub(super) fn into_cause(self) -> Source {
        match self.kind {
            Kind::Error(DbError::Unavailable { what, source }) => {
                Arc::new(io::Error::other(format!("cannot {what}: {source}")))
            }
            _ => self.source,
        }
    }

    #[cfg(test)]
    pub(super) fn of_code(code: u16) -> Failure {
        let (state, message) = ("HY000".to_owned(), String::new());
        mysql::Error::from(MySqlError {
            state,
            message,
            code,
        })
        .into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Failure {
        Failure {
            kind: Kind::Error(error.clone()),
            source: Arc::new(error),
        }
    }
}

impl From<mysql::Error> for Failure {
    fn from(error: mysql::Error) -> Failure {
        use mysql::Error as E;
        let kind = match &error {
            E::MySqlError(error) => kind_of(error),
            E::IoError(_) | E::CodecError(_) | E::DriverError(_) | E::TlsError(_) => Kind::Lost,
            E::UrlError(_) | E::FromValueError(_) | E::FromRowError(_) => Kind::Other,
        };
        // The driver's errors are not all `Send`; their text is all that is wanted, and not the names
        // of its types around it.
        let text = match error {
            E::MySqlError(error) => error.to_string(),
            E::IoError(error) => error.to_string(),
            E::CodecError(error) => error.to_string(),
            E::DriverError(error) => error.to_string(),
            E::TlsError(error) => error.to_string(),
            error => error.to_string(),
        };
        let source = Arc::new(io::Error::other(text));
        Failure { kind, source }
    }
}

/// Error numbers of MySQL and MariaDB.
fn kind_of(error: &MySqlError) -> Kind {
    match error.code {
        // A row with this key exists, in both spellings of the message.
        1062 | 1586 => Kind::Conflict,
        1048 => Kind::Null,
        // Lock wait timed out; deadlock, which is what Galera says when a certification fails;
        // the row changed since it was read. A statement that commits by itself is undone whole.
        1205 | 1213 | 1020 => Kind::Undone,
        // Galera outside of the primary component ("unknown command"); read-only for some reason;
        // too many connections, of all or of this user.
        1047 | 1290 | 1792 | 1836 | 1874 | 1040 | 1203 => Kind::Refused,
        // No right to the database, a table, a column, or to something else.
        1044 | 1142 | 1143 | 1227 => Kind::Denied,
        // The disk or the table space is full.
        1021 | 1026 | 1030 | 1114 | 1878 => Kind::Full,
        // Characters that the character set does not have, in a comparison or in a row; too long;
        // out of range. 3854 and 3988 are MySQL's, 1977 is MariaDB's.
        1264 | 1265 | 1267 | 1270 | 1271 | 1292 | 1300 | 1366 | 1406 | 1977 | 3854 | 3988 => {
            Kind::Unfit
        }
        // Shutting down, killed, interrupted, or failed in the middle of COMMIT: on Galera the
        // others may have committed it.
        1053 | 1180 | 1317 | 1927 | 4031 | 3169 => Kind::Lost,
        // No such database, table or column.
        1049 | 1054 | 1146 => Kind::Schema,
        1176 => Kind::NoIndex,
        1050 | 1060 | 1061 => Kind::Made,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the log has it.
    fn told(failure: Failure) -> String {
        let source = failure.into_cause();
        format!("{:#}", anyhow::Error::from(DbError::Away { source }))
    }

    #[test]
    fn why_a_server_is_not_used_is_told_once_and_in_words() {
        let driver = mysql::DriverError::CouldNotConnect(None);
        assert_eq!(
            told(mysql::Error::DriverError(driver).into()),
            "database unavailable: away: Could not connect: address not specified"
        );
        let error = DbError::Unavailable {
            what: "use the server",
            source: Arc::new(io::Error::other("the server is read-only")),
        };
        assert_eq!(
            told(error.into()),
            "database unavailable: away: cannot use the server: the server is read-only"
        );
    }
}
