//! Learns by a write whether a folder takes files, and reads the file system's clock by it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::time::SystemTime;

use rustix::fs::Mode;

use crate::beneath::{Root, join, split};

/// How names of probe files begin.
pub(crate) const PROBE: &str = ".tnv-probe";

/// Writes, syncs and removes a file in a folder, or in the nearest folder above that is there. Tells
/// when the file system says that it was written.
///
/// # Errors
/// What the file system refuses first.
pub(crate) fn write_probe(root: &Root, folder: &str) -> io::Result<SystemTime> {
    // Storages of a group probe the same volume: each probe has a name of its own.
    let name = format!("{PROBE}.{:016x}", rand::random::<u64>());
    let mut folder = folder;
    let (path, file) = loop {
        let path = join(folder, &name);
        match root.create_new(&path, Mode::from_raw_mode(0o600)) {
            Ok(file) => break (path, file),
            Err(e) if e.kind() == ErrorKind::NotFound && !folder.is_empty() => {
                folder = split(folder).0;
            }
            Err(e) => return Err(e),
        }
    };
    let written = write_and_sync(&file);
    root.unlink(&path)?;
    written
}

fn write_and_sync(file: &File) -> io::Result<SystemTime> {
    rustix::io::write(file, b"tnv")?;
    file.sync_data()?;
    file.metadata()?.modified()
}
