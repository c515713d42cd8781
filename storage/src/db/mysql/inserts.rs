//! Making rows: several at a time, each only while its client waits.

use daemon::db::{DbError, Effect, Failure, Mysql, MysqlValue, Session};
use proto::file_table;

use super::together::Together;
use super::{of_key, row_of, table_name};
use crate::db::{Change, NewRow, StillWanted};

/// A row that is to be made, as long as it is wanted.
pub(super) struct WantedRow {
    row: NewRow,
    wanted: StillWanted,
}

/// Rows to be inserted, by the number of their table.
pub(super) type Inserts = Together<WantedRow, u8, Change>;

/// Inserts a row, with others that wait.
pub(super) fn insert(
    database: &Mysql,
    inserts: &Inserts,
    row: NewRow,
    wanted: StillWanted,
) -> Result<Change, DbError> {
    let table = file_table(&row.key.user);
    let row = WantedRow { row, wanted };
    inserts.insert(table, row, |rows| insert_each(database, table, rows))
}

/// Inserts rows of one table; those that cannot be inserted together one by one.
fn insert_each(database: &Mysql, table: u8, rows: &[WantedRow]) -> Vec<Result<Change, DbError>> {
    if let [row] = rows {
        return vec![insert_one(database, table, row)];
    }
    let together = match insert_all(database, table, rows) {
        Ok(Change::Done) => return vec![Ok(Change::Done); rows.len()],
        Ok(_) => None,
        Err(together) if together.is_unavailable() => return vec![Err(together); rows.len()],
        Err(together) => Some(together),
    };
    let unknown = together.filter(|error| matches!(error, DbError::UnknownOutcome { .. }));
    let alone = |row| match (insert_one(database, table, row), &unknown) {
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
/// May be repeated after a lost connection: the rows' paths are their uploads' alone. Then the
/// rows that were made before the connection was lost are in the way.
fn insert_all(database: &Mysql, table: u8, rows: &[WantedRow]) -> Result<Change, DbError> {
    let sql = insert_sql(table, rows.len());
    let params: Vec<MysqlValue> = rows.iter().flat_map(|row| values_of(&row.row)).collect();
    let mut was_sent = false;
    database.run("insert rows", Effect::Idempotent, |session| {
        if !rows.iter().all(|row| (row.wanted)()) {
            return not_wanted(was_sent);
        }
        was_sent = true;
        session.execute(&sql, params.clone())?;
        Ok(Change::Done)
    })
}

/// Inserts a row; one in the way that says the same was made by a try whose answer was lost.
fn insert_one(database: &Mysql, table: u8, row: &WantedRow) -> Result<Change, DbError> {
    let WantedRow { row, wanted } = row;
    let sql = insert_sql(table, 1);
    let values = values_of(row).to_vec();
    let mut was_sent = false;
    let run = |session: &mut Session| {
        if !wanted() {
            return not_wanted(was_sent);
        }
        was_sent = true;
        match session.execute(&sql, values.clone()) {
            Err(failure) if failure.is_conflict() => {
                let found = row_of(session, &row.key)?;
                let is_ours = found.is_some_and(|found| found.file.says(row));
                if is_ours {
                    Ok(Change::Done)
                } else {
                    Err(failure)
                }
            }
            result => result.map(|_| Change::Done),
        }
    };
    database.run("insert a row", Effect::Idempotent, run)
}

/// A row that nobody wants is not sent again; an earlier try may have made it all the same.
fn not_wanted(was_sent: bool) -> Result<Change, Failure> {
    if was_sent {
        return Err(DbError::UnknownOutcome { source: None }.into());
    }
    Ok(Change::NotWanted)
}

fn insert_sql(table: u8, n_rows: usize) -> String {
    let values = vec!["(?, ?, ?, 0, ?, ?, ?, ?)"; n_rows].join(", ");
    format!(
        "INSERT INTO {} (id, appid, userid, status, file_path, file_size, group_name, checksum) \
         VALUES {values}",
        table_name(table)
    )
}

fn values_of(row: &NewRow) -> [MysqlValue; 7] {
    let [id, app, user] = of_key(&row.key);
    let size = i64::try_from(row.size).unwrap_or(i64::MAX);
    [
        id.into(),
        app.into(),
        user.into(),
        row.path.as_str().into(),
        size.into(),
        row.group.as_str().into(),
        row.checksum.to_be_bytes().as_slice().into(),
    ]
}
