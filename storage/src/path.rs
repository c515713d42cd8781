//! The store paths: which one takes the next file, and which one holds a file.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;

use crate::config::Config;
use crate::gate::{Gates, Pass, Visitor};
use crate::store_path::{StorePath, open_folder};

/// All store paths, in the order of the configuration.
pub(crate) struct StorePaths {
    paths: Vec<Arc<StorePath>>,
    turn: AtomicUsize,
}

/// A file by the folder it is opened in and its path from there.
/// Not to be kept longer than the disk is needed.
pub(crate) struct Place {
    pub(crate) root: OwnedFd,
    pub(crate) relative: String,
    /// What stands in front of that in rows, up to the slash.
    pub(crate) prefix: String,
    /// Whoever has the place is inside. Absent outside of all store paths.
    pub(crate) pass: Option<Pass>,
}

impl StorePaths {
    /// Opens them all.
    ///
    /// # Errors
    /// One cannot be made, or is not the volume it should be; the error says which and why.
    pub(crate) fn open(config: &Config) -> anyhow::Result<StorePaths> {
        let gates = Gates::new(
            config.store_paths.len(),
            &config.server,
            config.disk_timeout.duration(),
        );
        let open = |(idx, text): (usize, &String)| {
            StorePath::open(text, config, gates.gate(idx))
                .map(Arc::new)
                .with_context(|| format!("store path {text}"))
        };
        let paths = config
            .store_paths
            .iter()
            .enumerate()
            .map(open)
            .collect::<anyhow::Result<_>>()?;
        Ok(StorePaths {
            paths,
            turn: AtomicUsize::new(0),
        })
    }

    /// All of them, each time from another one on: the next upload goes to the first that takes it.
    pub(crate) fn in_turn(&self) -> impl Iterator<Item = &Arc<StorePath>> {
        let start = self.turn.fetch_add(1, Ordering::Relaxed) % self.paths.len();
        let (before, from) = self.paths.split_at(start);
        from.iter().chain(before)
    }

    /// Whether an upload had a chance when the store paths were last looked after. Never waits.
    pub(crate) fn take_uploads(&self) -> bool {
        self.paths.iter().any(|path| path.takes_uploads())
    }

    /// Whether a download had a chance: of several store paths some file is on one that answers.
    /// Never waits.
    pub(crate) fn serve_downloads(&self) -> bool {
        self.paths.iter().any(|path| path.serves_downloads())
    }

    /// Where the file of a row lies. A row may be older than the configuration: a path outside of
    /// all store paths is taken as it is.
    ///
    /// # Errors
    /// Its volume is not there, or its disk does not let the visitor in.
    pub(crate) fn find(&self, path: &str, visitor: Visitor) -> std::io::Result<Place> {
        let within = self.paths.iter().find_map(|store_path| {
            let relative = path.strip_prefix(&store_path.text)?.strip_prefix('/')?;
            Some((store_path, relative))
        });
        let (root, relative, pass) = match within {
            Some((store_path, relative)) => {
                let (root, pass) = store_path.enter(visitor)?;
                (root, relative, Some(pass))
            }
            None => {
                let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
                (
                    open_folder(if folder.is_empty() { "/" } else { folder })?,
                    name,
                    None,
                )
            }
        };
        Ok(Place {
            root,
            pass,
            relative: relative.to_owned(),
            prefix: path[..path.len() - relative.len()].to_owned(),
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<StorePath>> {
        self.paths.iter()
    }
}
