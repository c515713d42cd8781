//! What the disk gives a program that only writes, syncs and renames small files.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use bench::{Content, Meter, OperationResult, Worker};

use super::done;

/// One thread of it, with a folder of its own.
pub(in crate::bench) struct Syncer {
    folder: PathBuf,
    content: Vec<u8>,
    number: u64,
}

impl Syncer {
    /// Thread `idx`, for files of `size` bytes below `folder`.
    pub(in crate::bench) fn new(folder: &Path, idx: usize, size: u64) -> io::Result<Syncer> {
        let folder = folder.join(idx.to_string());
        fs::create_dir_all(&folder)?;
        let mut content = Vec::new();
        Content::new(idx as u64, size).read_to_end(&mut content)?;
        Ok(Syncer {
            folder,
            content,
            number: 0,
        })
    }

    fn put(&mut self) -> io::Result<()> {
        self.number += 1;
        let temporary = self.folder.join(".new");
        let mut file = File::create_new(&temporary)?;
        file.write_all(&self.content)?;
        file.sync_all()?;
        fs::rename(&temporary, self.folder.join(self.number.to_string()))
    }
}

impl Worker for Syncer {
    fn step(&mut self, meter: &Meter) -> OperationResult {
        let begun = Instant::now();
        let result = self.put();
        meter.add(self.content.len() as u64);
        done(begun, result)
    }
}
