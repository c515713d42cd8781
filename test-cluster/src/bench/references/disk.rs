//! The rate at which a file system writes, syncs and renames files.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use bench::{Content, Meter, OperationResult, Worker};

use super::done;

/// Bytes of one write.
const WRITE_LEN: usize = 1 << 20;

/// One thread, with its own folder.
pub(in crate::bench) struct FileSyncer {
    folder: PathBuf,
    content: Vec<u8>,
    number: u64,
}

impl FileSyncer {
    /// Creates the folder of thread `idx` below `folder`, for files of `size` bytes.
    pub(in crate::bench) fn new(folder: &Path, idx: usize, size: u64) -> io::Result<FileSyncer> {
        let folder = folder.join(idx.to_string());
        fs::create_dir_all(&folder)?;
        let mut content = Vec::new();
        Content::new(idx as u64, size).read_to_end(&mut content)?;
        Ok(FileSyncer {
            folder,
            content,
            number: 0,
        })
    }

    fn put(&mut self, meter: &Meter) -> io::Result<()> {
        self.number += 1;
        let temporary = self.folder.join(".new");
        let mut file = File::create_new(&temporary)?;
        for piece in self.content.chunks(WRITE_LEN) {
            file.write_all(piece)?;
            meter.add(piece.len() as u64);
        }
        file.sync_data()?;
        fs::rename(&temporary, self.folder.join(self.number.to_string()))
    }
}

impl Worker for FileSyncer {
    fn step(&mut self, meter: &Meter) -> OperationResult {
        let begun = Instant::now();
        let result = self.put(meter);
        done(begun, result)
    }
}
