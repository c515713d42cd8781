//! Small files beside each other: the state file and what belongs to it.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Reads at most `len_max` bytes of a file as text; none without the file.
///
/// # Errors
/// It cannot be read, or is no UTF-8.
pub(super) fn read(path: &Path, len_max: u64) -> io::Result<Option<String>> {
    match File::open(path) {
        Ok(file) => io::read_to_string(file.take(len_max)).map(Some),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Writes a new file and renames it, so that a crash leaves the old or the new file.
///
/// # Errors
/// It cannot be written, renamed or synced.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let aside = beside(path, ".new");
    let mut file = File::create(&aside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    base::folders::sync_holder(path)
}

/// The path with a suffix.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
