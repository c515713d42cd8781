//! The marker file, which distinguishes a store path from the empty folder of an unmounted volume.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use proto::GroupName;
use rustix::fs::{Mode, OFlags};

/// Its name, directly in the store path.
const NAME: &str = ".tnv-store";
/// Limit on the bytes read.
const LEN_MAX: u64 = 1024;

/// The content of the marker of a store path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker(String);

impl Marker {
    /// The marker of this group at this store path.
    pub(crate) fn new(group: &GroupName, store_path: &str) -> Marker {
        Marker(format!("tnv store 1\ngroup {group}\npath {store_path}\n"))
    }

    /// Checks that a folder has this marker.
    ///
    /// # Errors
    /// It has none, or another one; the message says which. Or the disk does not answer.
    pub(crate) fn check(&self, folder: impl AsFd) -> io::Result<()> {
        let found = read(folder)?;
        if found == self.0 {
            return Ok(());
        }
        let text = format!(
            "the marker {NAME} is of another store: found {:?}, expected {:?}",
            found.trim(),
            self.0.trim()
        );
        Err(io::Error::other(text))
    }

    /// Writes the marker, unless the same is there. Returns whether it is new.
    ///
    /// # Errors
    /// The folder belongs to another store, or the disk refuses.
    pub(crate) fn write(&self, folder: impl AsFd) -> io::Result<bool> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o444);
        match rustix::fs::openat(folder.as_fd(), NAME, flags, mode) {
            Ok(file) => {
                let mut file = File::from(file);
                file.write_all(self.0.as_bytes())?;
                file.sync_all()?;
                rustix::fs::fsync(folder)?;
                Ok(true)
            }
            Err(rustix::io::Errno::EXIST) => self.check(folder).map(|()| false),
            Err(e) => Err(e.into()),
        }
    }
}

fn read(folder: impl AsFd) -> io::Result<String> {
    // NONBLOCK: a FIFO in its place must not block.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, NAME, flags, Mode::empty()).map_err(|e| match e {
        rustix::io::Errno::NOENT => {
            let text = format!("has no marker {NAME}: not mounted, or not made with --init-store");
            io::Error::new(io::ErrorKind::NotFound, text)
        }
        e => e.into(),
    })?;
    let mut text = String::new();
    File::from(file).take(LEN_MAX).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    #[test]
    fn a_fifo_in_the_place_of_the_marker_is_no_marker_and_holds_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let mode = Mode::from_raw_mode(0o600);
        mknodat(CWD, folder.path().join(NAME), FileType::Fifo, mode, 0).unwrap();
        let marker = Marker::new(&"group001".parse().unwrap(), "/srv/a");
        let error = marker
            .check(File::open(folder.path()).unwrap())
            .unwrap_err();
        assert!(error.to_string().contains("of another store"), "{error}");
    }
}
