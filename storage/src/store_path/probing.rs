//! How a store path finds out what it can do.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use log::{error, info, warn};

use super::StorePath;
use crate::beneath::Root;
use crate::disk_error::DiskError;
use crate::expected::Expected;
use crate::health::Health;
use crate::probe::write_probe;
use crate::space::Space;

/// A request that is at a disk for this long makes one ask whether the disk answers at all.
const SUSPICIOUS: Duration = Duration::from_secs(1);

impl StorePath {
    /// Writes only where something may have changed unseen: on a volume that others serve, after a
    /// failure, or when a request has been at the disk for long. To open a folder alone shows
    /// nothing, the kernel remembers it.
    pub(super) fn probe(&self) {
        match self.measured() {
            // Nothing is known of the disk then.
            Err(e) if DiskError::of(&e) == DiskError::Exhausted => {
                warn!("{} was not looked at: {e}", self.text);
            }
            Err(e) => self.turn(Health::Away(e.to_string()), ""),
            Ok(root) if self.needs_write() => self.write_probes(&root),
            Ok(_) => self.turn(Health::Writable, ""),
        }
    }

    fn needs_write(&self) -> bool {
        let is_well = self.health() == Health::Writable && self.avoided.folders().is_empty();
        match self.expected {
            Expected::Any => false,
            Expected::Folder { .. } => {
                self.is_marked() || !is_well || self.gate.is_slow(SUSPICIOUS)
            }
        }
    }

    /// Writes to the folder itself and to those below in which something failed: one may take files
    /// while another refuses.
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
            Ok(_) => self.turn(Health::Writable, ""),
            Err(e) if DiskError::of(&e) == DiskError::Exhausted => {
                warn!("{} was not written to: {e}", self.text);
            }
            Err(e) => {
                let refused = Health::ReadOnly(e.to_string());
                self.turn(Health::after(&e).unwrap_or(refused), &failed_in);
            }
        }
    }

    /// The folder, after a look how much room there is.
    pub(super) fn measured(&self) -> io::Result<Arc<Root>> {
        let root = self.folder()?;
        self.measure(&root)?;
        Ok(root)
    }

    /// Sees how much room there is.
    fn measure(&self, folder: &Root) -> io::Result<()> {
        let changed = self.ledger.measure(folder)?;
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
