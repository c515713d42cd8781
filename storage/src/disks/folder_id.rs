//! Device, inode and birth time of a folder: whether two open folders are the same one. Files are told
//! apart in the same way.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, CWD, StatxFlags};

/// Equal ids are the same folder. Different ids may be the same folder after a remount, which can
/// change the device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FolderId {
    device: (u32, u32),
    inode: u64,
    /// Birth time, if the file system has it: inode numbers are reused.
    birth: Option<(i64, u32)>,
}

impl FolderId {
    /// The id of an open folder.
    ///
    /// # Errors
    /// The file system does not answer.
    pub(crate) fn of(folder: impl AsFd) -> io::Result<FolderId> {
        FolderId::read(folder, "", AtFlags::EMPTY_PATH)
    }

    /// The id of the folder at a path.
    ///
    /// # Errors
    /// The folder is missing, or the file system does not answer.
    pub(crate) fn at(path: &str) -> io::Result<FolderId> {
        FolderId::read(CWD, path, AtFlags::empty())
    }

    /// The id of what a path names in an open folder.
    ///
    /// # Errors
    /// It is missing, or the file system does not answer.
    pub(crate) fn read(folder: impl AsFd, path: &str, flags: AtFlags) -> io::Result<FolderId> {
        let fields = StatxFlags::INO | StatxFlags::BTIME;
        let stat = rustix::fs::statx(folder, path, flags, fields)?;
        let has_birth = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
        Ok(FolderId {
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            birth: has_birth.then_some((stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec)),
        })
    }

    /// Device and inode as one key.
    pub(crate) fn key(&self) -> (u32, u32, u64) {
        (self.device.0, self.device.1, self.inode)
    }
}

impl PartialEq for FolderId {
    fn eq(&self, other: &FolderId) -> bool {
        let births = self.birth.zip(other.birth);
        self.key() == other.key() && births.is_none_or(|(one, other)| one == other)
    }
}
