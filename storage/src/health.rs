//! What a store path can do.

use std::io;

use crate::disk_error::DiskError;

/// What a store path can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Health {
    /// Reads and writes.
    Writable,
    /// Reads; a write found no room, by a quota perhaps. Tried again by the probe.
    Full(String),
    /// Reads, it seems; tried again by the probe.
    ReadOnly(String),
    /// Reads, until the next start: a sync failed, and what the kernel dropped once cannot be
    /// synced by trying again.
    Failed(String),
    /// Neither: the volume is not there, or another folder is in its place.
    Away(String),
}

impl Health {
    /// After a write or a probe that failed; none when the error is not the file system's.
    pub(crate) fn after(error: &io::Error) -> Option<Health> {
        match DiskError::of(error) {
            DiskError::NoRoom => Some(Health::Full(error.to_string())),
            DiskError::Volume => Some(Health::ReadOnly(error.to_string())),
            DiskError::Exhausted | DiskError::File => None,
        }
    }

    /// Whether both are the same state, whatever the reasons.
    pub(crate) fn is_like(&self, other: &Health) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}
