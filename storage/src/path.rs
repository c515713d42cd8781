//! The store paths: which one takes the next file, and where in it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use log::{error, warn};
use proto::storage_path::storage_path;
use proto::{ErrorCode, Fault, IdKey};

use crate::config::Config;

/// One folder that holds files.
pub(crate) struct StorePath {
    /// As configured: rows and the idserver's key spell it like this.
    pub(crate) text: String,
    pub(crate) key: IdKey,
    reserved: u64,
    /// Set when a sync failed: what the kernel dropped once cannot be synced by trying again.
    read_only: AtomicBool,
}

pub(crate) struct StorePaths {
    paths: Vec<Arc<StorePath>>,
    turn: AtomicUsize,
}

/// Why a store path takes no file.
enum Refusal {
    Full,
    ReadOnly,
}

impl StorePaths {
    /// Makes the folders that are missing.
    pub(crate) fn open(config: &Config) -> anyhow::Result<StorePaths> {
        let paths = config.store_paths.iter().map(|text| {
            std::fs::create_dir_all(text).with_context(|| format!("cannot make {text}"))?;
            Ok(Arc::new(StorePath {
                text: text.clone(),
                key: IdKey::new(text.as_str())?,
                reserved: config.reserved_space.bytes(),
                read_only: AtomicBool::new(false),
            }))
        });
        Ok(StorePaths {
            paths: paths.collect::<anyhow::Result<_>>()?,
            turn: AtomicUsize::new(0),
        })
    }

    /// The store path that takes a file of `size` bytes: the next in turn that has room above its
    /// reserve.
    ///
    /// # Errors
    /// No space, or read-only when that is why the last one refused.
    pub(crate) fn choose(&self, size: u64) -> Result<Arc<StorePath>, Fault> {
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut refusal = Refusal::Full;
        for idx in 0..self.paths.len() {
            let path = &self.paths[start.wrapping_add(idx) % self.paths.len()];
            match path.check(size) {
                Ok(()) => return Ok(Arc::clone(path)),
                Err(reason) => refusal = reason,
            }
        }
        Err(match refusal {
            Refusal::Full => {
                let text = format!("no store path has {size} bytes above its reserved space");
                Fault::new(ErrorCode::NoSpace, text)
            }
            Refusal::ReadOnly => Fault::new(ErrorCode::ReadOnly, "all store paths are read-only"),
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<StorePath>> {
        self.paths.iter()
    }
}

impl StorePath {
    /// Where the file of a number goes that arrives now.
    pub(crate) fn place(&self, number: u64) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        storage_path(&self.text, number, now.as_secs())
    }

    /// Takes no more files until the next start.
    pub(crate) fn turn_read_only(&self, why: &std::io::Error) {
        if !self.read_only.swap(true, Ordering::Relaxed) {
            error!(
                "{} is read-only from now on, restart after checking the disk: {why}",
                self.text
            );
        }
    }

    /// Bytes that files may take before the reserve is touched.
    ///
    /// # Errors
    /// The file system does not answer.
    pub(crate) fn available(&self) -> std::io::Result<u64> {
        let stat = rustix::fs::statvfs(Path::new(&self.text))?;
        Ok((stat.f_bavail * stat.f_frsize).saturating_sub(self.reserved))
    }

    fn check(&self, size: u64) -> Result<(), Refusal> {
        if self.read_only.load(Ordering::Relaxed) {
            return Err(Refusal::ReadOnly);
        }
        match self.available() {
            Ok(available) if size <= available => Ok(()),
            Ok(_) => Err(Refusal::Full),
            Err(e) => {
                warn!("{}: free space unknown: {e}", self.text);
                Err(Refusal::ReadOnly)
            }
        }
    }
}
