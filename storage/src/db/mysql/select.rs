//! Reads rows.

use db::{Failure, MysqlParams, MysqlValue, Session};
use proto::FileKey;

use crate::db::listing::{IndexRow, Selection};
use crate::db::rows::{COLUMNS, INDEX_COLUMNS, Position, StoredRow, columns_of, table_of};

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
    Option<i64>,
);

/// The columns of the key of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TableKey {
    /// The file id, as in tables of the C++ system.
    Id,
    /// File id, application and user, as in tables that tnv makes.
    Owner,
}

impl TableKey {
    /// Asks the server, because an operator may change the key of a table (docs/migration.md, The key of the
    /// file tables).
    fn of(session: &mut Session, table: &str) -> Result<TableKey, Failure> {
        let sql = "SELECT 1 FROM information_schema.STATISTICS \
             WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? \
             AND INDEX_NAME = 'PRIMARY' AND COLUMN_NAME = 'userid'";
        let found: Option<i64> = session.first(sql, (table,))?;
        Ok(found.map_or(TableKey::Id, |_| TableKey::Owner))
    }
}

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

/// The row of exactly this file.
pub(super) fn row_of(session: &mut Session, key: &FileKey) -> Result<Option<StoredRow>, Failure> {
    Ok(row_like(session, key)?.filter(|row| row.is_of(key)))
}

/// The row of a file, in the comparison of the table's collation.
fn row_like(session: &mut Session, key: &FileKey) -> Result<Option<StoredRow>, Failure> {
    let condition = "id = ? AND appid = ? AND userid = ?";
    let [id, app, user] = columns_of(key);
    let rows = rows(session, &table_of(&key.user), condition, (id, app, user))?;
    Ok(rows.into_iter().next())
}

/// As [`Files::conflicting_row`](crate::db::Files::conflicting_row).
pub(super) fn conflicting_row(
    session: &mut Session,
    key: &FileKey,
) -> Result<Option<StoredRow>, Failure> {
    if let Some(row) = row_like(session, key)? {
        return Ok(Some(row));
    }
    let table = table_of(&key.user);
    match TableKey::of(session, &table)? {
        TableKey::Owner => Ok(None),
        TableKey::Id => {
            let rows = rows(session, &table, "id = ?", (key.file.as_str(),))?;
            Ok(rows.into_iter().next())
        }
    }
}

/// The rows that a condition with these parameters selects behind a position, in the order of the table's
/// key; at most `limit`.
pub(super) fn page(
    session: &mut Session,
    table: &str,
    (condition, params): (&str, &[&str]),
    after: &Position,
    limit: u32,
) -> Result<Vec<StoredRow>, Failure> {
    let Position { id, app, user } = after;
    // The server reads no more rows than asked for if the order is exactly that of the key.
    let (behind, of_position, order) = match TableKey::of(session, table)? {
        TableKey::Id => ("id > ?", vec![id], "id"),
        TableKey::Owner => (
            "(id > ? OR (id = ? AND appid > ?) OR (id = ? AND appid = ? AND userid > ?))",
            vec![id, id, app, id, app, user],
            "id, appid, userid",
        ),
    };
    let condition = format!("{condition} AND {behind} ORDER BY {order} LIMIT ?");
    let params = params.iter().map(|&param| MysqlValue::from(param));
    let of_position = of_position.into_iter().map(MysqlValue::from);
    let params: Vec<_> = params.chain(of_position).chain([limit.into()]).collect();
    rows(session, table, &condition, params)
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
    let (id, app, user, status, group, size, expires, created) = values;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    IndexRow {
        id: text(id),
        app: app.map(text),
        user: user.map(text),
        status,
        group: group.map(text),
        size,
        created,
        expires,
    }
}

fn stored_row(values: Values) -> StoredRow {
    let (id, app, user, status, path, size, group, checksum, expires, name, created) = values;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let [app, user, path] = [app, user, path].map(|bytes| text(bytes.unwrap_or_default()));
    StoredRow::of_columns(
        [text(id), app, user],
        status.unwrap_or(0),
        (path, size.unwrap_or(0), group.map(text)),
        (checksum, created),
        (expires, name.map(text)),
    )
}
