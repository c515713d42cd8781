//! Reads rows.

use db::{Failure, MysqlParams, Session};
use proto::FileKey;

use crate::db::listing::{IndexRow, Selection};
use crate::db::rows::{COLUMNS, INDEX_COLUMNS, StoredRow, table_of};

/// The time of creation, in seconds since the epoch.
const CREATED: &str = "CAST(UNIX_TIMESTAMP(create_time) AS SIGNED)";

/// The columns of a row. Texts come as bytes: rows of other programs may hold anything.
type Values = (
    Vec<u8>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<i64>,
    Option<Vec<u8>>,
    Option<i64>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<i64>,
);

type IndexValues = (
    Vec<u8>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<i64>,
    Option<Vec<u8>>,
    Option<i64>,
    Option<i64>,
);

/// The rows of a table that a condition selects.
pub(super) fn rows(
    session: &mut Session,
    table: &str,
    condition: &str,
    params: impl Into<MysqlParams>,
) -> Result<Vec<StoredRow>, Failure> {
    let sql = format!("SELECT {COLUMNS}, {CREATED} FROM {table} WHERE {condition}");
    let rows: Vec<Values> = session.rows(&sql, params)?;
    Ok(rows.into_iter().map(stored_row).collect())
}

/// The row with the id of a file, in the comparison of the table's collation.
pub(super) fn row_of_id(
    session: &mut Session,
    key: &FileKey,
) -> Result<Option<StoredRow>, Failure> {
    let id = key.file.as_str();
    let rows = rows(session, &table_of(&key.user), "id = ?", (id,))?;
    Ok(rows.into_iter().next())
}

/// The row of exactly this file.
pub(super) fn row_of(session: &mut Session, key: &FileKey) -> Result<Option<StoredRow>, Failure> {
    Ok(row_of_id(session, key)?.filter(|row| row.is_of(key)))
}

/// At most `limit` rows of a user behind the file id `after`, whose ids begin with the prefix in the
/// comparison of the table's collation.
pub(super) fn index_rows(
    session: &mut Session,
    of: Selection<'_>,
    after: &str,
    limit: u32,
) -> Result<Vec<IndexRow>, Failure> {
    let table = table_of(&of.wanted.user);
    let (app, user) = (of.wanted.app.as_str(), of.wanted.user.as_str());
    let sql = format!(
        "SELECT {INDEX_COLUMNS}, {CREATED} FROM {table} FORCE INDEX (tnv_users) \
         WHERE userid = ? AND appid = ? AND id > ? AND id LIKE ? ORDER BY id LIMIT ?"
    );
    let params = (user, app, after, pattern_of(of.prefix()), limit);
    let rows: Vec<IndexValues> = session.rows(&sql, params)?;
    Ok(rows.into_iter().map(index_row).collect())
}

/// The pattern for LIKE of the texts that begin with `prefix`.
fn pattern_of(prefix: &str) -> String {
    let escaped = prefix.chars().flat_map(|c| {
        let is_special = matches!(c, '%' | '_' | '\\');
        is_special.then_some('\\').into_iter().chain([c])
    });
    escaped.chain(['%']).collect()
}

fn index_row(values: IndexValues) -> IndexRow {
    let (id, app, user, status, group, size, created) = values;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    IndexRow {
        id: text(id),
        app: app.map(text),
        user: user.map(text),
        status,
        group: group.map(text),
        size,
        created,
    }
}

fn stored_row(values: Values) -> StoredRow {
    let (id, app, user, status, path, size, group, checksum, created) = values;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let [app, user, path] = [app, user, path].map(|bytes| text(bytes.unwrap_or_default()));
    StoredRow::of_columns(
        [text(id), app, user],
        status.unwrap_or(0),
        (path, size.unwrap_or(0), group.map(text)),
        (checksum, created),
    )
}
