//! A disk of a few mebibytes that really fills up.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

/// A mounted tmpfs; unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts a disk of `size` bytes at a folder.
    ///
    /// # Errors
    /// The system refuses: only root may mount.
    pub fn mount(at: &Path, size: u64) -> anyhow::Result<SmallDisk> {
        let options = CString::new(format!("size={size}"))?;
        mount(
            "tmpfs",
            at,
            "tmpfs",
            MountFlags::empty(),
            options.as_c_str(),
        )
        .with_context(|| format!("cannot mount a disk at {}, which takes root", at.display()))?;
        Ok(SmallDisk(at.to_owned()))
    }

    /// Forbids or allows writes.
    ///
    /// # Errors
    /// The system refuses: a file is open for writing.
    pub fn set_read_only(&self, is_read_only: bool) -> anyhow::Result<()> {
        let flags = if is_read_only {
            MountFlags::RDONLY
        } else {
            MountFlags::empty()
        };
        mount_remount(&self.0, flags, c"").context("cannot remount a disk")
    }
}

impl SmallDisk {
    /// Unmounts it as an administrator would.
    ///
    /// # Errors
    /// It is busy.
    pub fn unmount(&self) -> std::io::Result<()> {
        Ok(unmount(&self.0, UnmountFlags::empty())?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Open files stay open. A failure cannot be handled here.
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}
