//! The health of a store path.

use std::io;

use crate::disks::disk_error::DiskError;

/// The health of a store path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathHealth {
    /// It reads and writes.
    Writable,
    /// It reads; a write found no space, perhaps by a quota. The probe tries again.
    Full(String),
    /// It reads; a write failed. The probe tries again.
    ReadOnly(String),
    /// It reads, until a restart. A sync failed, and the kernel may have dropped data, which another
    /// sync does not show.
    Failed(String),
    /// It does neither: the volume is away, or another folder is in its place.
    Away(String),
}

impl PathHealth {
    /// The health after a failed write; none if the error does not concern the volume.
    pub(crate) fn after(error: &io::Error) -> Option<PathHealth> {
        match DiskError::of(error) {
            DiskError::NoSpace => Some(PathHealth::Full(error.to_string())),
            DiskError::Volume => Some(PathHealth::ReadOnly(error.to_string())),
            DiskError::ProcessLimit | DiskError::File => None,
        }
    }

    /// True if both are the same state, whatever the reasons.
    pub(crate) fn is_like(&self, other: &PathHealth) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}
