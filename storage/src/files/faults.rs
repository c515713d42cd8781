//! Faults for files that do not exist, or that conflict with a new one.

use proto::{ErrorCode, Fault, FileKey};

use crate::clock::epoch_secs;
use crate::db::StoredRow;
use crate::globals::Globals;

/// The fault for a row that the database refused: another row has its file id.
pub(crate) fn conflict(globals: &Globals, key: &FileKey) -> Fault {
    match globals.files.conflicting_row(key) {
        Ok(Some(row)) => conflict_with(globals, key, &row),
        Ok(None) => {
            let text = format!("an earlier file was just deleted, fileid: {}", key.file);
            Fault::new(ErrorCode::Unavailable, text)
        }
        Err(e) => e.into(),
    }
}

/// The fault for a file that conflicts with this row. In tables of the C++ system, the id alone is the key. An
/// interrupted deletion ends soon, so the client may try again.
pub(crate) fn conflict_with(globals: &Globals, key: &FileKey, row: &StoredRow) -> Fault {
    let own = globals.config.group.as_str();
    let other_group = row.file.group.as_deref().filter(|&group| group != own);
    if !row.is_of_user(key) {
        return exists(format!(
            "another user has a file of this name, and the database has room for one: choose another name, \
             or let the administrator change the key of the file tables (docs/migration.md), fileid: {}",
            key.file
        ));
    }
    if let Some(other) = other_group {
        globals.foreign.note(key, other);
    }
    if row.is_deleting {
        globals.pending_deletes.note();
        let text = format!(
            "an earlier file is still being deleted, fileid: {}",
            key.file
        );
        return Fault::new(ErrorCode::Unavailable, text);
    }
    if row.file.is_expired(epoch_secs()) {
        let text = format!(
            "an earlier file has expired and is not removed yet, fileid: {}",
            key.file
        );
        return Fault::new(ErrorCode::Unavailable, text);
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

/// The fault for a file without a row.
pub(crate) fn not_found(key: &FileKey) -> Fault {
    Fault::new(
        ErrorCode::NotFound,
        format!("file not found, fileid: {}", key.file),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::db::FileRow;
    use crate::test_storage::settings_in;

    #[test]
    fn the_refusal_of_a_name_of_another_user_tells_how_to_make_room_for_both() {
        let folder = tempfile::tempdir().unwrap();
        let globals = Globals::open(Config::of(settings_in(folder.path(), &["data"]))).unwrap();
        let key = FileKey {
            app: "tnvideo".parse().unwrap(),
            user: "tnv001".parse().unwrap(),
            file: "film/index.m3u8".parse().unwrap(),
        };
        let row = StoredRow {
            id: key.file.to_string(),
            app: "tnvideo".to_owned(),
            user: "alice".to_owned(),
            is_deleting: false,
            file: FileRow {
                path: "elsewhere".to_owned(),
                size: 7,
                checksum: None,
                created: 0,
                group: None,
                expires: None,
                name: None,
            },
        };
        let fault = conflict_with(&globals, &key, &row);
        assert_eq!(fault.code, ErrorCode::Exists);
        assert!(fault.message.contains("docs/migration.md"), "{fault}");
    }
}
