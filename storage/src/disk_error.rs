//! What an error of a disk says, wherever it is met: at a write, a sync or a close.

use std::io::{self, ErrorKind};

use rustix::io::Errno;

/// Whose an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskError {
    /// There is no room, on the disk or below a quota.
    NoRoom,
    /// This process or machine has no descriptors or memory left: the disk is not to blame.
    Exhausted,
    /// The file system refuses: a lost quorum, a dead mount, a bad disk, a folder of another user.
    Volume,
    /// One file.
    File,
}

impl DiskError {
    /// Whose this error is.
    pub(crate) fn of(error: &io::Error) -> DiskError {
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        match (errno, error.kind()) {
            (Some(Errno::NOSPC | Errno::DQUOT), _) => DiskError::NoRoom,
            (Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM), _) => DiskError::Exhausted,
            (
                Some(
                    Errno::ROFS
                    | Errno::ACCESS
                    | Errno::PERM
                    | Errno::NOTCONN
                    | Errno::IO
                    | Errno::STALE
                    | Errno::TIMEDOUT
                    | Errno::NODEV
                    | Errno::NXIO
                    | Errno::CONNREFUSED,
                ),
                _,
            ) => DiskError::Volume,
            // Errors told to several threads keep their kind only.
            (_, ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => DiskError::NoRoom,
            (_, ErrorKind::OutOfMemory) => DiskError::Exhausted,
            (_, ErrorKind::NotConnected) => DiskError::Volume,
            _ => DiskError::File,
        }
    }
}

/// Whether an error met when content was read says that this content is lost: the disk cannot read
/// it, or a checksum of the file system is wrong.
pub(crate) fn is_of_content(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::IO | Errno::UCLEAN | Errno::BADMSG | Errno::NODATA | Errno::ILSEQ)
    )
}

/// Whether an error met when a file was begun may be of its folder alone: other folders of the store
/// path may take files.
pub(crate) fn may_be_of_the_folder(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    let of_a_folder = matches!(
        errno,
        Some(Errno::ACCESS | Errno::PERM | Errno::UCLEAN | Errno::BADMSG)
    );
    of_a_folder || error.kind() == ErrorKind::InvalidData
}
