//! Why a file cannot be stored under its id.

use proto::{ErrorCode, Fault, FileKey};

use crate::db::StoredRow;
use crate::globals::Globals;

/// Why the database has refused a row: another one has its file id.
pub(crate) fn conflict(globals: &Globals, key: &FileKey) -> Fault {
    match globals.files.holder(key) {
        Ok(Some(row)) => in_the_way(globals, key, &row),
        Ok(None) => {
            let text = format!("an earlier file was just deleted, fileid: {}", key.file);
            Fault::new(ErrorCode::Unavailable, text)
        }
        Err(e) => e.into(),
    }
}

/// Why a file cannot be stored beside this row: the id alone is the key of a table, as in the C++
/// system. What is left of a deletion that was cut short is gone soon: this may be tried again.
pub(crate) fn in_the_way(globals: &Globals, key: &FileKey, row: &StoredRow) -> Fault {
    let own = globals.config.group.as_str();
    let other_group = row.group.as_deref().filter(|&group| group != own);
    if !row.is_of_user(key) {
        return exists(format!(
            "file id is taken by another user, fileid: {}",
            key.file
        ));
    }
    if let Some(other) = other_group {
        globals.foreign.note(globals, key, other);
    }
    if row.is_deleting {
        globals.half_deleted.note();
        return being_deleted(key);
    }
    if let Some(other) = other_group {
        let text = format!("file exists in group {other}, fileid: {}", key.file);
        return exists(text);
    }
    if !row.is_of(key) {
        let text = format!(
            "file exists under another spelling of the id, {}, fileid: {}",
            row.id, key.file
        );
        return exists(text);
    }
    exists(format!("file exists, fileid: {}", key.file))
}

fn exists(text: String) -> Fault {
    Fault::new(ErrorCode::Exists, text)
}

fn being_deleted(key: &FileKey) -> Fault {
    let text = format!(
        "an earlier file is still being deleted, fileid: {}",
        key.file
    );
    Fault::new(ErrorCode::Unavailable, text)
}
