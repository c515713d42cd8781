//! Probes of a store path: its space, and writes where these are needed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use log::{error, info, warn};

use super::{PathHealth, StorePath};
use crate::disks::disk_error::DiskError;
use crate::disks::probe::write_probe;
use crate::disks::root::Root;
use crate::disks::space::Space;

/// A request that uses the disk for this long causes a write probe.
const SUSPICIOUS: Duration = Duration::from_secs(1);

impl StorePath {
    pub(crate) fn run_probe(&self) {
        self.monitored(|_| self.probe());
    }

    /// Measures the space and updates the health. It writes on a volume that others serve, after a
    /// failure, and while a request is slow; opening a folder alone proves nothing, as the kernel
    /// caches it.
    fn probe(&self) {
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
        let is_well = {
            let state = self.state.lock();
            state.health == PathHealth::Writable && state.avoided.is_empty()
        };
        let is_marked = self.expected.marker.is_some();
        let is_needed = is_marked || !is_well || self.limiter.is_slow(SUSPICIOUS);
        is_needed && !self.expected.is_former
    }

    /// Writes to the store path and to the folders below it in which a write failed.
    pub(super) fn write_probes(&self, root: &Root) {
        let (avoided, failed_in) = {
            let state = self.state.lock();
            (state.avoided.clone(), state.failed_in.clone())
        };
        for (folder, _) in avoided {
            if write_probe(root, &folder).is_ok() {
                info!("{}: folder {folder} takes files again", self.text);
                let mut state = self.state.lock();
                state.avoided.retain(|(avoided, _)| *avoided != folder);
            }
        }
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
            _ if self.expected.is_former => {}
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
