//! Files of uploads whose commit has an unknown outcome. Their rows are looked for again, also
//! after a restart; a file without a row is removed.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::warn;
use parking_lot::Mutex;
use proto::FileKey;
use serde::{Deserialize, Serialize};

use crate::clock::boot_time;

/// Limit on remembered files. `--list-orphans` finds further ones.
const FILES_MAX: usize = 1000;
/// Limit on the bytes read.
const LEN_MAX: u64 = 4 << 20;

/// The files, also kept in a record beside the state file.
#[derive(Debug)]
pub(crate) struct UnresolvedUploads {
    record: PathBuf,
    files: Mutex<Vec<Pending>>,
    /// Held while the record is written.
    writing: Mutex<()>,
}

#[derive(Debug, Clone)]
pub(crate) struct Pending {
    file: StoredFile,
    /// Since when the row may be missing, by [`boot_time`].
    pub(crate) since: Duration,
}

/// One line of the record, JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredFile {
    app: String,
    user: String,
    id: String,
    path: String,
}

impl Pending {
    /// The file's path, spelled as in rows.
    pub(crate) fn path(&self) -> &str {
        &self.file.path
    }

    /// The file's key; none when the record holds no names of a file.
    pub(crate) fn key(&self) -> Option<FileKey> {
        self.file.key()
    }
}

impl StoredFile {
    fn key(&self) -> Option<FileKey> {
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
        let mut record = state_file.as_os_str().to_owned();
        record.push(".unresolved");
        let record = PathBuf::from(record);
        let files = read(&record).unwrap_or_else(|e| {
            warn!("the record {} is not read: {e}", record.display());
            Vec::new()
        });
        let since = boot_time();
        let pending = files.into_iter().map(|file| Pending { file, since });
        UnresolvedUploads {
            files: Mutex::new(pending.collect()),
            record,
            writing: Mutex::default(),
        }
    }

    /// Notes a file whose row may be missing.
    pub(crate) fn note(&self, key: &FileKey, path: &str) {
        let file = StoredFile {
            app: key.app.to_string(),
            user: key.user.to_string(),
            id: key.file.to_string(),
            path: path.to_owned(),
        };
        let since = boot_time();
        {
            let mut files = self.files.lock();
            if files.len() >= FILES_MAX {
                warn!("{path} may have no row, and too many files like that are looked after");
                return;
            }
            files.push(Pending { file, since });
        }
        self.write();
    }

    pub(crate) fn len(&self) -> usize {
        self.files.lock().len()
    }

    /// The files whose paths are chosen.
    pub(crate) fn list(&self, is_chosen: &dyn Fn(&str) -> bool) -> Vec<Pending> {
        let files = self.files.lock();
        let chosen = files.iter().filter(|pending| is_chosen(&pending.file.path));
        chosen.cloned().collect()
    }

    /// Forgets files whose outcome is known now.
    pub(crate) fn forget(&self, settled: &[Pending]) {
        if settled.is_empty() {
            return;
        }
        let is_open = |pending: &Pending| !settled.iter().any(|other| other.file == pending.file);
        self.files.lock().retain(is_open);
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

fn read(record: &Path) -> io::Result<Vec<StoredFile>> {
    let file = match File::open(record) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let text = io::read_to_string(io::Read::take(file, LEN_MAX))?;
    let mut files = Vec::new();
    for line in text.lines().take(FILES_MAX) {
        files.push(serde_json::from_str(line)?);
    }
    Ok(files)
}

/// Replaces the record, durably; an empty one is removed.
fn write(record: &Path, files: &[Pending]) -> io::Result<()> {
    if files.is_empty() {
        return match fs::remove_file(record) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        };
    }
    let mut new = record.as_os_str().to_owned();
    new.push(".new");
    let mut file = File::create(&new)?;
    for pending in files {
        let line = serde_json::to_string(&pending.file)?;
        writeln!(file, "{line}")?;
    }
    file.sync_all()?;
    fs::rename(&new, record)?;
    base::folders::sync_holder(record)
}
