//! Making rows: several at a time, each only while its client waits.

use db::{DbError, Effect, Failure, Mysql, MysqlValue, Session};
use proto::file_table;

use super::expiry::{IS_IN_TIME, ServerClock};
use super::row::{of_key, row_of, table_name};
use super::together::Together;
use crate::db::{Change, NewRow, StillWanted};

/// A row that is to be made, as long as it is wanted.
struct WantedRow {
    row: NewRow,
    wanted: StillWanted,
}

/// Makes rows, those of several threads at a time.
#[derive(Default)]
pub(super) struct Inserter {
    /// Rows to be inserted, by the number of their table.
    batches: Together<WantedRow, u8, Change>,
    pub(super) clock: ServerClock,
}

impl Inserter {
    /// Inserts a row, with others that wait.
    pub(super) fn insert(
        &self,
        database: &Mysql,
        row: NewRow,
        wanted: StillWanted,
    ) -> Result<Change, DbError> {
        let table = file_table(&row.key.user);
        let row = WantedRow { row, wanted };
        self.batches
            .insert(table, row, |rows| self.insert_each(database, table, rows))
    }

    /// Inserts rows of one table; those that cannot be inserted together one by one.
    fn insert_each(
        &self,
        database: &Mysql,
        table: u8,
        rows: &[WantedRow],
    ) -> Vec<Result<Change, DbError>> {
        if let [row] = rows {
            return vec![self.insert_one(database, table, row)];
        }
        let together = match self.insert_all(database, table, rows) {
            Ok(Change::Done) => return vec![Ok(Change::Done); rows.len()],
            Ok(_) => None,
            Err(together) if together.is_unavailable() => return vec![Err(together); rows.len()],
            Err(together) => Some(together),
        };
        let unknown = together.filter(|error| matches!(error, DbError::UnknownOutcome { .. }));
        let alone = |row| match (self.insert_one(database, table, row), &unknown) {
            (Ok(Change::Done), _) => Ok(Change::Done),
            (Err(error), Some(_)) if error.is_conflict() => Err(error),
            // It may have been inserted with the others.
            (_, Some(unknown)) => Err(unknown.clone()),
            (result, None) => result,
        };
        rows.iter().map(alone).collect()
    }

    /// Inserts rows of one table, all of them or none: none when one of them is not wanted any more.
    ///
    /// May be repeated after a lost connection: the rows' paths are their uploads' alone. If the lost
    /// try has made the rows, the next one meets them: the outcome is unknown then.
    fn insert_all(
        &self,
        database: &Mysql,
        table: u8,
        rows: &[WantedRow],
    ) -> Result<Change, DbError> {
        let sql = insert_sql(table, rows.len());
        let mut was_sent = false;
        database.run("insert rows", Effect::Idempotent, |session| {
            self.send(session, &sql, rows, &mut was_sent)
        })
    }

    /// Inserts a row; one in the way that says the same was made by a try whose answer was lost.
    fn insert_one(
        &self,
        database: &Mysql,
        table: u8,
        wanted: &WantedRow,
    ) -> Result<Change, DbError> {
        let sql = insert_sql(table, 1);
        let row = &wanted.row;
        let mut was_sent = false;
        let run = |session: &mut Session| {
            let rows = std::slice::from_ref(wanted);
            match self.send(session, &sql, rows, &mut was_sent) {
                Err(failure) if failure.is_conflict() => {
                    let found = row_of(session, &row.key)?;
                    let is_ours = found.is_some_and(|found| found.file.equals(row));
                    if is_ours {
                        Ok(Change::Done)
                    } else {
                        Err(failure.with_another_row())
                    }
                }
                result => result,
            }
        };
        database.run("insert a row", Effect::Idempotent, run)
    }

    /// Sends an insert while its rows are wanted. `was_sent` tells of earlier tries that may have had
    /// their effect. One that has expired had none; then the clock was wrong, or the network slow.
    fn send(
        &self,
        session: &mut Session,
        sql: &str,
        rows: &[WantedRow],
        was_sent: &mut bool,
    ) -> Result<Change, Failure> {
        for _ in 0..2 {
            let deadline = self.clock.deadline(session)?;
            if !rows.iter().all(|row| (row.wanted)()) {
                return client_left(*was_sent);
            }
            let before = std::mem::replace(was_sent, true);
            match session.execute(sql, params(rows, deadline)) {
                Err(failure) if failure.is_null() => {
                    *was_sent = before;
                    self.clock.forget();
                }
                result => return result.map(|_| Change::Done),
            }
        }
        let what = "to insert a row";
        Err(DbError::TimedOut { what }.into())
    }
}

/// A row that nobody wants is not sent again; an earlier try may have made it all the same.
fn client_left(was_sent: bool) -> Result<Change, Failure> {
    if was_sent {
        return Err(DbError::UnknownOutcome { source: None }.into());
    }
    Ok(Change::NotWanted)
}

/// A statement that has expired gives no id, which the table refuses: no row is made.
fn insert_sql(table: u8, n_rows: usize) -> String {
    let values = format!("(IF({IS_IN_TIME}, ?, NULL), ?, ?, 0, ?, ?, ?, ?)");
    let values = vec![values; n_rows].join(", ");
    format!(
        "INSERT INTO {} (id, appid, userid, status, file_path, file_size, group_name, checksum) \
         VALUES {values}",
        table_name(table)
    )
}

fn params(rows: &[WantedRow], deadline: i64) -> Vec<MysqlValue> {
    let of_row = |row: &WantedRow| values_of(&row.row, deadline);
    rows.iter().flat_map(of_row).collect()
}

fn values_of(row: &NewRow, deadline: i64) -> [MysqlValue; 8] {
    let [id, app, user] = of_key(&row.key);
    let size = i64::try_from(row.size).unwrap_or(i64::MAX);
    [
        deadline.into(),
        id.into(),
        app.into(),
        user.into(),
        row.path.as_str().into(),
        size.into(),
        row.group.as_str().into(),
        row.checksum.to_be_bytes().as_slice().into(),
    ]
}
