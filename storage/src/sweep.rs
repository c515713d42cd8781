//! What uploads of dead processes left behind.

use std::fs::{self, DirEntry};
use std::path::Path;
use std::time::{Duration, SystemTime};

use log::{debug, info, warn};

use crate::store_path::PROBE;

/// A temporary file nobody wrote to for this long is of a process that died: live uploads are
/// dropped far sooner when they stall.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// Removes temporary files that dead processes left in a store path. `go_on` is asked at every
/// folder.
pub(crate) fn sweep(store_path: &Path, now: SystemTime, go_on: &dyn Fn() -> bool) {
    let mut folders = vec![store_path.to_owned()];
    while let Some(folder) = folders.pop() {
        if !go_on() {
            return;
        }
        match fs::read_dir(&folder) {
            Ok(entries) => {
                for entry in entries.flatten() {
                    if is_folder_of_ours(&entry) {
                        folders.push(entry.path());
                    } else if is_abandoned(&entry, now) {
                        remove(&entry.path());
                    }
                }
            }
            Err(e) => debug!("{}: not swept: {e}", folder.display()),
        }
    }
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => info!("removed {}, left by an upload", path.display()),
        Err(e) => warn!("cannot remove {}: {e}", path.display()),
    }
}

/// Whether it is a folder with a name of three hex digits.
pub(crate) fn is_folder_of_ours(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    name.len() == 3
        && name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit)
        && entry.file_type().is_ok_and(|kind| kind.is_dir())
}

/// Whether it has the form `.<time>_<digits>.<random>`, or is of a probe, and was not written to for long. Only then
/// is the file itself looked at: on a network file system each look costs a round trip.
fn is_abandoned(entry: &DirEntry, now: SystemTime) -> bool {
    let name = entry.file_name();
    let is_temporary = name
        .to_str()
        .and_then(|name| name.strip_prefix('.'))
        .is_some_and(|name| {
            name.split_once('.')
                .is_some_and(|(name, random)| name.contains('_') && random.len() == 16)
        });
    let age = || {
        now.duration_since(entry.metadata().ok()?.modified().ok()?)
            .ok()
    };
    let is_probe = name.as_encoded_bytes().starts_with(PROBE.as_bytes());
    (is_temporary || is_probe) && age().is_some_and(|age| age > ABANDONED_AFTER)
}
