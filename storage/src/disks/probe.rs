//! Write probes: whether a folder takes files.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::time::SystemTime;

use rustix::fs::Mode;

use crate::disks::root::{Root, join, split};

/// Prefix of the names of probe files.
pub(crate) const PROBE: &str = ".tnv-probe";

/// Writes, syncs and removes a file in a folder, or in its nearest existing parent. Returns the file's
/// time of change by the file system's clock.
///
/// # Errors
/// The first error of these operations.
pub(crate) fn write_probe(root: &Root, folder: &str) -> io::Result<SystemTime> {
    // Storages of a group probe the same volume, so each probe has its own name.
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
