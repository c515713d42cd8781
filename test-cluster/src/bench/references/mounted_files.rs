//! The rate at which a program reads files of a mounted volume, if it opens each of them only once.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bench::content::next_random;
use bench::{Meter, OperationResult, Worker};

use super::{File as Listed, done};

/// Open files.
#[derive(Clone)]
pub(in crate::bench) struct MountedFiles(Arc<Vec<(File, Listed)>>);

/// One thread. All threads share the descriptors.
pub(in crate::bench) struct MountedReader {
    files: MountedFiles,
    random: u64,
    buffer: Vec<u8>,
}

impl MountedFiles {
    /// Opens the files in `folder`.
    pub(in crate::bench) fn open(folder: &Path, files: &[Listed]) -> io::Result<MountedFiles> {
        let open = |file: &Listed| Ok((File::open(folder.join(&file.id))?, file.clone()));
        let files = files.iter().map(open).collect::<io::Result<_>>()?;
        Ok(MountedFiles(Arc::new(files)))
    }

    /// A thread that reads up to `len` bytes at a time.
    pub(in crate::bench) fn reader(&self, len: u64, seed: u64) -> MountedReader {
        MountedReader {
            files: self.clone(),
            random: seed,
            buffer: vec![0; len as usize],
        }
    }
}

impl MountedReader {
    /// Reads a piece at a random offset and compares it.
    fn get(&mut self, meter: &Meter) -> io::Result<()> {
        let files = &self.files.0;
        let (file, listed) = &files[next_random(&mut self.random) as usize % files.len()];
        let len = listed.size.min(self.buffer.len() as u64);
        let offset = next_random(&mut self.random) % (listed.size - len + 1);
        let buffer = &mut self.buffer[..len as usize];
        file.read_exact_at(buffer, offset)?;
        meter.add(len);
        listed.content().starting_at(offset).check(buffer)
    }
}

impl Worker for MountedReader {
    fn step(&mut self, meter: &Meter) -> OperationResult {
        let begun = Instant::now();
        let result = self.get(meter);
        done(begun, result)
    }
}
