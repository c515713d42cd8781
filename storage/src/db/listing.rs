//! Lists of a user's rows, of which the index `userid, appid, id` and some more columns has all columns.

use proto::file_list::{FileList, ListRequest, ListedFile};
use proto::{FileId, GroupName};

use super::rows::DELETING;

/// Which rows of a user a list holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selection<'a> {
    pub(crate) wanted: &'a ListRequest,
    /// Only rows of this group, and of the C++ system, which name none.
    pub(crate) group: &'a GroupName,
    /// Files that have expired at this second since the epoch are left out.
    pub(crate) now: i64,
}

/// A row of the index, unchecked. A table may compare different spellings of a name as equal.
pub(super) struct IndexRow {
    pub(super) id: String,
    pub(super) app: Option<String>,
    pub(super) user: Option<String>,
    pub(super) status: Option<i64>,
    pub(super) group: Option<String>,
    pub(super) size: Option<i64>,
    pub(super) created: Option<i64>,
    pub(super) expires: Option<i64>,
}

impl Selection<'_> {
    pub(super) fn prefix(&self) -> &str {
        self.wanted.prefix.as_ref().map_or("", FileId::as_str)
    }

    /// The chosen ones among rows that were read with this limit.
    pub(super) fn page(&self, rows: Vec<IndexRow>, limit: u32) -> FileList {
        let is_full = rows.len() >= limit as usize;
        let last = rows.last().filter(|_| is_full);
        FileList {
            next: last.map_or_else(String::new, |row| row.id.clone()),
            files: rows.iter().filter_map(|row| self.file(row)).collect(),
        }
    }

    /// The file of a row, if it is chosen. No client can ask for a file whose name tnv does not allow.
    fn file(&self, row: &IndexRow) -> Option<ListedFile> {
        let of_group = row.group.as_deref();
        let modified = row.created.unwrap_or(0);
        let is_chosen = row.app.as_deref() == Some(self.wanted.app.as_str())
            && row.user.as_deref() == Some(self.wanted.user.as_str())
            && row.status != Some(DELETING)
            && of_group.is_none_or(|group| group == self.group.as_str())
            && modified >= self.wanted.since
            && row.expires.is_none_or(|expires| expires > self.now)
            && row.id.starts_with(self.prefix());
        is_chosen.then_some(ListedFile {
            id: FileId::new(&row.id).ok()?,
            size: row.size.unwrap_or(0).try_into().unwrap_or(0),
            modified,
        })
    }
}
