//! The columns of a row, and how they are read.

use db::{Failure, Session};
use proto::{FileKey, UserId, file_table};

use crate::db::rows::{FileRow, NewRow, StoredRow};

/// Value of `status` in the row of a file that is being deleted. The C++ system writes 0 always.
pub(super) const DELETING: i8 = 1;
/// What a row says, texts as bytes: rows of other programs may hold anything.
type Found = (
    Vec<u8>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<i8>,
    Option<Vec<u8>>,
    Option<i64>,
    Option<Vec<u8>>,
    Option<i64>,
    Option<Vec<u8>>,
);

/// The columns of a [`StoredRow`], and their types.
pub(super) const STORED: &str = "id, appid, userid, file_path, file_size, group_name, status";
pub(super) type Texts = (
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<String>,
    Option<i8>,
);

impl FileRow {
    pub(super) fn equals(&self, row: &NewRow) -> bool {
        self.path == row.path && self.size == row.size && self.checksum == Some(row.checksum)
    }
}

/// A row, also one that is being deleted.
pub(super) struct StatusRow {
    pub(super) status: i8,
    pub(super) file: FileRow,
}

/// The row of exactly this file.
pub(super) fn row_of(session: &mut Session, key: &FileKey) -> Result<Option<StatusRow>, Failure> {
    let sql = format!(
        "SELECT id, appid, userid, status, file_path, file_size, checksum, \
         CAST(UNIX_TIMESTAMP(create_time) AS SIGNED), group_name FROM {} WHERE id = ?",
        table(&key.user)
    );
    let [id, app, user] = of_key(key);
    let found: Option<Found> = session.first(&sql, (id,))?;
    let Some((found_id, found_app, found_user, status, path, size, checksum, created, group)) =
        found
    else {
        return Ok(None);
    };
    let is = |found: Option<Vec<u8>>, text: &str| found.is_some_and(|f| f == text.as_bytes());
    if found_id != id.as_bytes() || !is(found_app, app) || !is(found_user, user) {
        return Ok(None);
    }
    let file = FileRow {
        path: String::from_utf8_lossy(&path.unwrap_or_default()).into_owned(),
        size: size.and_then(|size| size.try_into().ok()).unwrap_or(0),
        checksum: checksum
            .and_then(|bytes| bytes.try_into().ok())
            .map(u128::from_be_bytes),
        created: created.unwrap_or(0),
        group: group.map(|group| String::from_utf8_lossy(&group).into_owned()),
    };
    let status = status.unwrap_or(0);
    Ok(Some(StatusRow { status, file }))
}

pub(super) fn stored_row((id, app, user, path, size, group, status): Texts) -> StoredRow {
    StoredRow {
        id,
        app: app.unwrap_or_default(),
        user: user.unwrap_or_default(),
        path: path.unwrap_or_default(),
        size: size.and_then(|size| size.try_into().ok()).unwrap_or(0),
        group,
        is_deleting: status == Some(DELETING),
    }
}

pub(super) fn table(user: &UserId) -> String {
    table_name(file_table(user))
}

pub(super) fn table_name(number: u8) -> String {
    format!("t_file_{number:02}")
}

pub(super) fn of_key(key: &FileKey) -> [&str; 3] {
    [key.file.as_str(), key.app.as_str(), key.user.as_str()]
}
