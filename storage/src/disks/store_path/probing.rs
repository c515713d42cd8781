//! Probes of a store path: its space, and writes where these are needed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use log::{error, info, warn};

use super::StorePath;
use crate::disks::disk_error::DiskError;
use crate::disks::expected_folder::ExpectedFolder;
use crate::disks::path_health::PathHealth;
use crate::disks::probe::write_probe;
use crate::disks::root::Root;
use crate::disks::space::Space;

/// A request that uses the disk for this long causes a write probe.
const SUSPICIOUS: Duration = Duration::from_secs(1);

impl StorePath {
    /// Measures the space and updates the health. It writes on a volume that others serve, after a
    /// failure, and while a request is slow; opening a folder alone proves nothing, as the kernel
    /// caches it.
    pub(super) fn probe(&self) {
        match self.measured() {
            // It says nothing about the disk.
            Err(e) if DiskError::of(&e) == DiskError::ProcessLimit => {
                warn!("{} was not looked at: {e}", self.text);
            }
            Err(e) => self.set_health(PathHealth::Away(e.to_string()), ""),
            Ok(root) => {
                if self.expected.tag_again(&root) {
                    info!("{} has its tag now", self.text);
                }
                if self.needs_write() {
                    self.write_probes(&root);
                } else {
                    self.set_health(PathHealth::Writable, "");
                }
            }
        }
    }

    fn needs_write(&self) -> bool {
        let is_well = self.health() == PathHealth::Writable && self.avoided.folders().is_empty();
        match self.expected {
            ExpectedFolder::Any => false,
            ExpectedFolder::Folder { .. } => {
                self.is_marked() || !is_well || self.limiter.is_slow(SUSPICIOUS)
            }
        }
    }

    /// Writes to the store path and to the folders below it in which a write failed.
    pub(super) fn write_probes(&self, root: &Root) {
        for folder in self.avoided.folders() {
            if write_probe(root, &folder).is_ok() {
                info!("{}: folder {folder} takes files again", self.text);
                self.avoided.remove(&folder);
            }
        }
        let failed_in = self.state.lock().failed_in.clone();
        let mut probed = write_probe(root, "");
        if !failed_in.is_empty() && probed.is_ok() {
            probed = write_probe(root, &failed_in);
        }
        match probed {
            Ok(_) => self.set_health(PathHealth::Writable, ""),
            Err(e) if DiskError::of(&e) == DiskError::ProcessLimit => {
                warn!("{} was not written to: {e}", self.text);
            }
            Err(e) => {
                let refused = PathHealth::ReadOnly(e.to_string());
                self.set_health(PathHealth::after(&e).unwrap_or(refused), &failed_in);
            }
        }
    }

    /// Opens the folder and measures its space.
    pub(super) fn measured(&self) -> io::Result<Arc<Root>> {
        let root = self.folder()?;
        self.measure(&root)?;
        Ok(root)
    }

    fn measure(&self, folder: &Root) -> io::Result<()> {
        let changed = self.space_tracker.measure(folder)?;
        let Space { free, reserved, .. } = self.space();
        match changed {
            _ if self.is_former() => {}
            Some(true) => error!(
                "{} is full, it takes no uploads: {free} bytes are free, {reserved} reserved",
                self.text
            ),
            Some(false) => info!("{} has room again, it takes uploads", self.text),
            None => {}
        }
        Ok(())
    }
}
