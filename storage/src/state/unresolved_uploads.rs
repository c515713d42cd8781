//! Files of uploads whose commit has an unknown outcome. Their rows are looked for again, also
//! after a restart; a file without a row is removed.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::warn;
use parking_lot::Mutex;
use proto::FileKey;
use serde::{Deserialize, Serialize};

use crate::clock::boot_time;
use crate::state::small_file;

/// Limit on remembered files. `--list-orphans` finds further ones.
const FILES_MAX: usize = 1000;
/// Limit on the bytes read.
const LEN_MAX: u64 = 4 << 20;

/// The files, also kept in a record beside the state file.
#[derive(Debug)]
pub(crate) struct UnresolvedUploads {
    record: PathBuf,
    files: Mutex<Vec<UnresolvedUpload>>,
    /// Held while the record is written.
    writing: Mutex<()>,
}

/// A file whose row may be missing. The record has one on each line, in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnresolvedUpload {
    app: String,
    user: String,
    id: String,
    /// The file's path, spelled as in rows.
    pub(crate) path: String,
    /// Since when the row may be missing, by [`boot_time`].
    #[serde(skip, default = "boot_time")]
    pub(crate) since: Duration,
}

impl UnresolvedUpload {
    /// The file's key; none when the record holds no names of a file.
    pub(crate) fn key(&self) -> Option<FileKey> {
        Some(FileKey {
            app: self.app.parse().ok()?,
            user: self.user.parse().ok()?,
            file: self.id.parse().ok()?,
        })
    }
}

impl UnresolvedUploads {
    /// Reads the record of an earlier process. A record that cannot be read is logged and dropped:
    /// its files become orphans.
    pub(crate) fn open(state_file: &Path) -> UnresolvedUploads {
        let record = small_file::beside(state_file, ".unresolved");
        let files = read(&record).unwrap_or_else(|e| {
            warn!("the record {} is not read: {e}", record.display());
            Vec::new()
        });
        UnresolvedUploads {
            files: Mutex::new(files),
            record,
            writing: Mutex::default(),
        }
    }

    /// Notes a file whose row may be missing.
    pub(crate) fn note(&self, key: &FileKey, path: &str) {
        let upload = UnresolvedUpload {
            app: key.app.to_string(),
            user: key.user.to_string(),
            id: key.file.to_string(),
            path: path.to_owned(),
            since: boot_time(),
        };
        {
            let mut files = self.files.lock();
            if files.len() >= FILES_MAX {
                warn!("{path} may have no row, and too many files like that are looked after");
                return;
            }
            files.push(upload);
        }
        self.write();
    }

    pub(crate) fn len(&self) -> usize {
        self.files.lock().len()
    }

    /// The files whose paths are chosen.
    pub(crate) fn list(&self, is_chosen: &dyn Fn(&str) -> bool) -> Vec<UnresolvedUpload> {
        let files = self.files.lock();
        let chosen = files.iter().filter(|upload| is_chosen(&upload.path));
        chosen.cloned().collect()
    }

    /// Forgets files whose outcome is known now.
    pub(crate) fn forget(&self, settled: &[UnresolvedUpload]) {
        if settled.is_empty() {
            return;
        }
        self.files.lock().retain(|upload| !settled.contains(upload));
        self.write();
    }

    /// Rewrites the record. Without it a restart forgets the files.
    fn write(&self) {
        let _alone = self.writing.lock();
        let files = self.files.lock().clone();
        if let Err(e) = write(&self.record, &files) {
            warn!("the record {} is not written: {e}", self.record.display());
        }
    }
}

fn read(record: &Path) -> io::Result<Vec<UnresolvedUpload>> {
    let text = small_file::read(record, LEN_MAX)?.unwrap_or_default();
    let lines = text.lines().take(FILES_MAX);
    lines.map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Replaces the record, durably; an empty one is removed.
fn write(record: &Path, files: &[UnresolvedUpload]) -> io::Result<()> {
    if files.is_empty() {
        return match fs::remove_file(record) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        };
    }
    let mut text = Vec::new();
    for upload in files {
        serde_json::to_writer(&mut text, upload)?;
        text.push(b'\n');
    }
    small_file::replace(record, &text)
}
