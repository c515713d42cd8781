//! Answers LIST and USAGE, a part at a time.

use std::time::{Duration, Instant};

use proto::file_list::{CURSOR_MAX, FileList, LIST_MAX, ListRequest, ListedFile, UsagePart};
use proto::{ErrorCode, Fault};

use crate::clock::epoch_secs;
use crate::db::Selection;
use crate::globals::Globals;

/// A reply ends after this time, with what it has.
const REPLY_TIME: Duration = Duration::from_millis(250);
/// Rows of one statement of USAGE.
const USAGE_ROWS: u32 = 5_000;

/// The next files of a list.
///
/// # Errors
/// Too many lists at once; the database cannot be read, or lacks the index of users.
pub(crate) fn list(globals: &Globals, wanted: &ListRequest) -> Result<FileList, Fault> {
    let mut files: Vec<ListedFile> = Vec::new();
    let rest = |files: &[ListedFile]| (LIST_MAX - files.len()) as u32;
    let next = parts(globals, wanted, LIST_MAX as u32, |part| {
        files.extend(part);
        rest(&files)
    })?;
    Ok(FileList { files, next })
}

/// The sums of the next files of a list.
///
/// # Errors
/// Those of [`list`].
pub(crate) fn usage(globals: &Globals, wanted: &ListRequest) -> Result<UsagePart, Fault> {
    let mut sums = UsagePart::default();
    sums.next = parts(globals, wanted, USAGE_ROWS, |part| {
        sums.files += part.len() as u64;
        sums.bytes = part
            .iter()
            .fold(sums.bytes, |sum, file| sum.saturating_add(file.size));
        USAGE_ROWS
    })?;
    Ok(sums)
}

/// Reads parts of a list, at first of `limit` rows, until it ends or `take` wants no more rows. Returns
/// the cursor of the rest, empty at the end.
fn parts(
    globals: &Globals,
    wanted: &ListRequest,
    mut limit: u32,
    mut take: impl FnMut(Vec<ListedFile>) -> u32,
) -> Result<String, Fault> {
    let _permit = globals.list_limiter.acquire()?;
    let until = Instant::now() + REPLY_TIME;
    let (group, now) = (&globals.config.group, epoch_secs());
    let mut after = wanted.after.clone();
    loop {
        let part = globals
            .files
            .list(Selection { wanted, group, now }, &after, limit)
            .map_err(db::DbError::retryable_fault)?;
        limit = take(part.files);
        after = part.next;
        if after.len() > CURSOR_MAX {
            let text = format!("a row has an id of {} bytes, which ends lists", after.len());
            return Err(Fault::new(ErrorCode::Damaged, text));
        }
        if after.is_empty() || limit == 0 || Instant::now() >= until {
            return Ok(after);
        }
    }
}
