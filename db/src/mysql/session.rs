//! A connection that one call uses. Statements are prepared once per connection.

use std::fmt;
use std::time::Duration;

use mysql::prelude::{FromRow, Queryable};
use mysql::{Conn, Params, Row};

use super::failure::Failure;

/// A connection to the database.
pub struct Session(pub(super) Conn, Option<ClockLead>);

/// How far the clock of a server is ahead of a clock of the caller's. It may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockLead {
    /// In milliseconds.
    pub millis: i64,
    /// When it has to be measured again, by the caller's clock.
    pub until: Duration,
}

/// Result of a statement without rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Number of changed rows; for `ON DUPLICATE KEY UPDATE` 1 for a new row, 2 for a changed one, 0 for an
    /// unchanged one.
    pub affected: u64,
    /// The argument of `LAST_INSERT_ID(...)`, or the new value of an `AUTO_INCREMENT` column.
    pub last_insert_id: u64,
}

impl Session {
    pub(super) fn new(connection: Conn) -> Session {
        Session(connection, None)
    }

    /// The lead of the server's clock as it was set last for this connection. Another connection may
    /// be to another server, whose clock is another one.
    pub fn clock_lead(&self) -> Option<ClockLead> {
        self.1
    }

    /// Remembers the lead of the server's clock, or forgets it.
    pub fn set_clock_lead(&mut self, lead: Option<ClockLead>) {
        self.1 = lead;
    }

    /// The rows that `sql` selects with `params` in place of its question marks.
    ///
    /// # Errors
    /// The statement fails, or a row has other types than `T`.
    pub fn rows<T: FromRow>(
        &mut self,
        sql: &str,
        params: impl Into<Params>,
    ) -> Result<Vec<T>, Failure> {
        let rows: Vec<Row> = self.0.exec(sql, params.into())?;
        rows.into_iter().map(checked).collect()
    }

    /// The first of the rows.
    ///
    /// # Errors
    /// Those of [`Session::rows`].
    pub fn first<T: FromRow>(
        &mut self,
        sql: &str,
        params: impl Into<Params>,
    ) -> Result<Option<T>, Failure> {
        let row: Option<Row> = self.0.exec_first(sql, params.into())?;
        row.map(checked).transpose()
    }

    /// Runs a statement that changes rows.
    ///
    /// # Errors
    /// The statement fails.
    pub fn execute(&mut self, sql: &str, params: impl Into<Params>) -> Result<Done, Failure> {
        self.0.exec_drop(sql, params.into())?;
        Ok(Done {
            affected: self.0.affected_rows(),
            last_insert_id: self.0.last_insert_id(),
        })
    }

    /// Runs a statement without preparing it.
    pub(super) fn plain(&mut self, sql: &str) -> Result<(), Failure> {
        Ok(self.0.query_drop(sql)?)
    }

    /// The second column of the first row, where `SHOW` has its values.
    pub(super) fn shown(&mut self, sql: &str) -> Result<Option<String>, Failure> {
        let row: Option<(String, String)> = self.0.query_first(sql)?;
        Ok(row.map(|(_, value)| value))
    }
}

/// The driver's own conversion would panic.
fn checked<T: FromRow>(row: Row) -> Result<T, Failure> {
    mysql::from_row_opt(row).map_err(|error| mysql::Error::from(error).into())
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session")
            .field(&self.0.connection_id())
            .finish()
    }
}
