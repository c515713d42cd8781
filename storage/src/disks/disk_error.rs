//! Classifies errors of disks.

use std::io::{self, ErrorKind};

use proto::{ErrorCode, Fault};
use rustix::io::Errno;

/// The part of the system that an error concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskError {
    /// No space, on the disk or within a quota.
    NoSpace,
    /// This process or machine has no descriptors or memory left; the disk may be well.
    ProcessLimit,
    /// The volume: a lost quorum, a dead mount, a bad disk, wrong permissions.
    Volume,
    /// One file.
    File,
}

impl DiskError {
    /// Classifies an error.
    pub(crate) fn of(error: &io::Error) -> DiskError {
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        match (errno, error.kind()) {
            (Some(Errno::NOSPC | Errno::DQUOT), _) => DiskError::NoSpace,
            (Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM), _) => DiskError::ProcessLimit,
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
            // A shared error of a grouped sync has a kind but no number.
            (_, ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => DiskError::NoSpace,
            (_, ErrorKind::OutOfMemory) => DiskError::ProcessLimit,
            (_, ErrorKind::NotConnected) => DiskError::Volume,
            _ => DiskError::File,
        }
    }
}

/// True if a read error means that the content is lost: the disk cannot read it, or a checksum of the
/// file system is wrong.
pub(crate) fn is_content_lost(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::IO | Errno::UCLEAN | Errno::BADMSG | Errno::NODATA | Errno::ILSEQ)
    )
}

/// True if an error at the creation of a file may concern its folder only, while other folders take
/// files.
pub(crate) fn may_concern_folder_only(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    let of_a_folder = matches!(
        errno,
        Some(Errno::ACCESS | Errno::PERM | Errno::UCLEAN | Errno::BADMSG)
    );
    of_a_folder || error.kind() == ErrorKind::InvalidData
}

/// The fault that a client gets for an error of a disk.
pub(crate) fn disk_fault(path: &str, error: &io::Error) -> Fault {
    let code = match (DiskError::of(error), error.kind()) {
        (DiskError::NoSpace, _) | (_, ErrorKind::FileTooLarge) => ErrorCode::NoSpace,
        (DiskError::ProcessLimit, _) => ErrorCode::Busy,
        (_, ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => ErrorCode::ReadOnly,
        (_, ErrorKind::InvalidData) => ErrorCode::Damaged,
        _ => ErrorCode::Unavailable,
    };
    Fault::new(code, format!("{path}: {error}"))
}
