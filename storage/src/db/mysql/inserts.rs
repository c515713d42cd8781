//! Inserts rows, each only while its client waits.

use db::{DbError, Effect, Failure, Mysql, MysqlValue, Session};

use proto::FileName;

use super::expiry::{IS_IN_TIME, deadline};
use super::select::row_of;
use crate::db::rows::columns_of;
use crate::db::{Change, FileRow, NewRow, StillWanted, table_of};

/// Inserts a row. A conflicting row with the same content was inserted by an earlier attempt whose
/// answer was lost.
pub(super) fn insert(
    database: &Mysql,
    row: &NewRow,
    wanted: &StillWanted,
) -> Result<Change, DbError> {
    let sql = insert_sql(&table_of(&row.key.user));
    let mut was_sent = false;
    let run = |session: &mut Session| match send(session, &sql, row, wanted, &mut was_sent) {
        Err(failure) if failure.is_conflict() => {
            let found = row_of(session, &row.key)?;
            let is_ours = found.is_some_and(|found| is_same(&found.file, row));
            if is_ours {
                Ok(Change::Done)
            } else {
                Err(failure.with_another_row())
            }
        }
        result => result,
    };
    database.run("insert a row", Effect::Idempotent, run)
}

fn is_same(found: &FileRow, row: &NewRow) -> bool {
    found.path == row.path && found.size == row.size && found.checksum == Some(row.checksum)
}

/// Sends an insert while its client waits. `was_sent` is true after an attempt that may have had its
/// effect. An expired one had none: the known clock was wrong, or the network slow.
fn send(
    session: &mut Session,
    sql: &str,
    row: &NewRow,
    wanted: &StillWanted,
    was_sent: &mut bool,
) -> Result<Change, Failure> {
    for _ in 0..2 {
        let deadline = deadline(session)?;
        if !wanted() {
            return client_left(*was_sent);
        }
        let before = std::mem::replace(was_sent, true);
        match session.execute(sql, values_of(row, deadline)) {
            Err(failure) if failure.is_null() => {
                *was_sent = before;
                session.set_clock_lead(None);
            }
            result => return result.map(|_| Change::Done),
        }
    }
    let what = "to insert a row";
    Err(DbError::TimedOut { what }.into())
}

/// Without a waiting client the row is not sent again; an earlier attempt may have inserted it.
fn client_left(was_sent: bool) -> Result<Change, Failure> {
    if was_sent {
        return Err(DbError::UnknownOutcome { source: None }.into());
    }
    Ok(Change::NotWanted)
}

/// An expired statement gives no id, which the table refuses.
fn insert_sql(table: &str) -> String {
    format!(
        "INSERT INTO {table} \
         (id, appid, userid, status, file_path, file_size, group_name, checksum, expires, name) \
         VALUES (IF({IS_IN_TIME}, ?, NULL), ?, ?, 0, ?, ?, ?, ?, ?, ?)"
    )
}

fn values_of(row: &NewRow, deadline: i64) -> Vec<MysqlValue> {
    let [id, app, user] = columns_of(&row.key);
    let size = i64::try_from(row.size).unwrap_or(i64::MAX);
    vec![
        deadline.into(),
        id.into(),
        app.into(),
        user.into(),
        row.path.as_str().into(),
        size.into(),
        row.group.as_str().into(),
        row.checksum.to_be_bytes().as_slice().into(),
        row.attributes.expires.into(),
        row.attributes.name.as_ref().map(FileName::as_str).into(),
    ]
}
