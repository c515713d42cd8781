//! The file that tells a lost database from a new installation: `.<database>.<component>`, beside
//! the database. It is hidden and does not begin with the database's name, so that `rm` or `mv` of
//! `storage.db*` leaves it.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use base::folders;

pub(super) struct TablesMarker {
    path: PathBuf,
    text: String,
}

impl TablesMarker {
    pub(super) fn new(database: &Path, component: &str) -> TablesMarker {
        let name = database.file_name().unwrap_or_default().to_string_lossy();
        TablesMarker {
            path: database.with_file_name(format!(".{name}.{component}")),
            text: format!(
                "tnv-{component} keeps its tables in {}. As long as this file is here it does not \
                 start without them.\n",
                database.display()
            ),
        }
    }

    /// The evidence that there were tables, if the marker exists.
    pub(super) fn evidence(&self) -> Option<String> {
        let is_there = self.path.symlink_metadata().is_ok();
        is_there.then(|| format!("{} is there", self.path.display()))
    }

    /// Makes the file, synced, unless it is there.
    pub(super) fn make(&self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = match options.write(true).create_new(true).open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(()),
            Err(e) => return Err(e),
        };
        file.write_all(self.text.as_bytes())?;
        file.sync_all()?;
        folders::sync_holder(&self.path)
    }
}
