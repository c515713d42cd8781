//! The store paths: which one takes the next file, and which one holds a file.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Context;
use log::warn;
use proto::{ErrorCode, Fault};

use crate::config::Config;
use crate::store_path::{Health, StorePath, open_folder};

/// All store paths, in the order of the configuration.
pub(crate) struct StorePaths {
    paths: Vec<Arc<StorePath>>,
    turn: AtomicUsize,
    /// Whether any of them takes uploads, as of the last probe.
    takers: AtomicBool,
}

/// A file by the folder it is opened in and its path from there.
pub(crate) struct Place {
    pub(crate) root: OwnedFd,
    pub(crate) relative: String,
    /// What stands in front of that in rows, up to the slash.
    pub(crate) prefix: String,
}

impl StorePaths {
    /// Opens them all.
    ///
    /// # Errors
    /// One cannot be made, or is not the volume it should be; the error says which and why.
    pub(crate) fn open(config: &Config) -> anyhow::Result<StorePaths> {
        let reserved = config.reserved_space.bytes();
        let open = |text: &String| {
            StorePath::open(text, &config.group, reserved, config.require_marker)
                .map(Arc::new)
                .with_context(|| format!("store path {text}"))
        };
        let paths = config
            .store_paths
            .iter()
            .map(open)
            .collect::<anyhow::Result<_>>()?;
        Ok(StorePaths {
            paths,
            turn: AtomicUsize::new(0),
            takers: AtomicBool::new(true),
        })
    }

    /// The store path that takes a file of `size` bytes: the next in turn that takes writes and
    /// has room above its reserve.
    ///
    /// # Errors
    /// No space, when that is what any of them lacks; else read-only.
    pub(crate) fn choose(&self, size: u64) -> Result<Arc<StorePath>, Fault> {
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut full = false;
        for idx in 0..self.paths.len() {
            let path = &self.paths[start.wrapping_add(idx) % self.paths.len()];
            if path.health() != Health::Writable {
                continue;
            }
            match path.available() {
                Ok(available) if size <= available => return Ok(Arc::clone(path)),
                Ok(_) => full = true,
                Err(e) => path.note_failure(&e),
            }
        }
        Err(if full {
            let text = format!("no store path has {size} bytes above its reserved space");
            Fault::new(ErrorCode::NoSpace, text)
        } else {
            Fault::new(ErrorCode::ReadOnly, "no store path takes uploads now")
        })
    }

    /// Whether an upload had a chance when the store paths were last looked after. Never waits.
    pub(crate) fn take_uploads(&self) -> bool {
        self.takers.load(Ordering::Relaxed)
    }

    /// Where the file of a row lies. A row may be older than the configuration: a path outside of
    /// all store paths is taken as it is.
    ///
    /// # Errors
    /// Its volume is not there.
    pub(crate) fn find(&self, path: &str) -> std::io::Result<Place> {
        let within = self.paths.iter().find_map(|store_path| {
            let relative = path.strip_prefix(&store_path.text)?.strip_prefix('/')?;
            Some((store_path, relative))
        });
        let (root, relative) = match within {
            Some((store_path, relative)) => (store_path.enter()?, relative),
            None => {
                let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
                (
                    open_folder(if folder.is_empty() { "/" } else { folder })?,
                    name,
                )
            }
        };
        Ok(Place {
            root,
            relative: relative.to_owned(),
            prefix: path[..path.len() - relative.len()].to_owned(),
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<StorePath>> {
        self.paths.iter()
    }

    /// Looks after all of them. Waits for their disks, however long they take.
    pub(crate) fn probe(&self) {
        let takes = |path: &Arc<StorePath>| {
            path.probe();
            path.health() == Health::Writable && path.available().is_ok_and(|bytes| bytes > 0)
        };
        // All of them, not just up to the first that does.
        let n_takers = self.paths.iter().filter(|path| takes(path)).count();
        self.takers.store(n_takers > 0, Ordering::Relaxed);
    }

    /// Warns of those that are full.
    pub(crate) fn report_space(&self) {
        for path in &self.paths {
            if path.available().is_ok_and(|bytes| bytes == 0) {
                warn!("{}: no space above the reserved space", path.text);
            }
        }
    }
}
