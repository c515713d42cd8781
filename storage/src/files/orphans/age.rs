//! How old a file is at least, by the clock that its file system writes times with.

use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, Mode, OFlags};

use super::walk::{is_folder_of_files, walk};

/// File systems that write times by the clock of this machine: ext2 to ext4, XFS, Btrfs, tmpfs, ZFS,
/// F2FS, bcachefs and overlayfs (statfs(2)). Others may have the clock of another machine.
const LOCAL: [u64; 8] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0x0102_1994,
    0x2fc1_2fc1,
    0xf2f5_2010,
    0xca45_1a4e,
    0x794c_7630,
];

/// The time of a store path's file system when a listing began.
pub(super) struct Clock(SystemTime);

impl Clock {
    /// Reads the clock without writing anything, so of a file system that may have another clock a
    /// lower bound is the best there is: the latest change of a folder. A new file changes its
    /// folder, and a store path without any change has no upload in progress either.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub(super) fn of(store_path: &str) -> anyhow::Result<Clock> {
        let now = SystemTime::now();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, store_path, flags, Mode::empty())?;
        let kind = rustix::fs::fstatfs(root)?.f_type.cast_unsigned();
        if LOCAL.contains(&kind) {
            return Ok(Clock(now));
        }
        Ok(Clock(latest_change(store_path)?.min(now)))
    }

    /// How long ago a file has changed, at least. Zero when its time is in the future, or the file is
    /// gone.
    ///
    /// # Errors
    /// The file system does not tell.
    pub(super) fn age(&self, file: &DirEntry) -> io::Result<Duration> {
        let modified = match file.metadata() {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Duration::ZERO),
            found => found?.modified()?,
        };
        Ok(self.0.duration_since(modified).unwrap_or_default())
    }
}

/// The latest change of any folder of a store path.
fn latest_change(store_path: &str) -> anyhow::Result<SystemTime> {
    let mut latest = fs::metadata(store_path)?.modified()?;
    walk(store_path, &mut |_, entry| {
        if is_folder_of_files(entry) {
            match entry.metadata() {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                found => latest = latest.max(found?.modified()?),
            }
        }
        Ok(())
    })?;
    Ok(latest)
}
