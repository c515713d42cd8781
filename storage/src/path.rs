//! The store paths: which one takes the next file, and which one holds a file.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;

use crate::beneath::{Root, outside};
use crate::config::{Config, folder_of};
use crate::folder_id::Tag;
use crate::gate::{Gates, Pass, Visitor};
use crate::identity::{KnownFolders, known_folders};
use crate::store_path::{Access, StorePath};

/// All store paths, in the order of the configuration.
pub(crate) struct StorePaths {
    paths: Vec<Arc<StorePath>>,
    /// Those of rows of an earlier configuration: files are read and removed there, never made.
    former: Vec<Arc<StorePath>>,
    turn: AtomicUsize,
}

/// A file by the folder it is opened in and its path from there.
/// Not to be kept longer than the disk is needed.
pub(crate) struct Place {
    pub(crate) root: Arc<Root>,
    pub(crate) relative: String,
    /// What stands in front of that in rows, up to the slash.
    pub(crate) prefix: String,
    /// Whoever has the place is inside.
    pub(crate) pass: Pass,
}

impl StorePaths {
    /// Opens them all.
    ///
    /// # Errors
    /// One cannot be made, or is not the volume it should be; the error says which and why.
    pub(crate) fn open(config: &Config, access: Access) -> anyhow::Result<StorePaths> {
        let (current, former) = (&config.store_paths, &config.former_store_paths);
        let gates = Gates::new(
            current.len() + former.len(),
            &config.server,
            config.disk_timeout.duration(),
        );
        let known = known_folders(&config.state_file)?;
        let open = |(idx, text): (usize, &String)| {
            let known = known.get(folder_of(text)).cloned().map(Tag::from_text);
            StorePath::open(text, config, access, known, gates.gate(idx))
                .map(Arc::new)
                .with_context(|| format!("store path {text}"))
        };
        let open_former = |(idx, text): (usize, &String)| {
            StorePath::open_former(text, config, gates.gate(current.len() + idx))
                .map(Arc::new)
                .with_context(|| format!("former store path {text}"))
        };
        let all = |paths: &[String], open: &dyn Fn((usize, &String)) -> _| {
            paths
                .iter()
                .enumerate()
                .map(open)
                .collect::<anyhow::Result<_>>()
        };
        Ok(StorePaths {
            paths: all(current, &open)?,
            former: all(former, &open_former)?,
            turn: AtomicUsize::new(0),
        })
    }

    /// The tags of the folders of those that take files.
    pub(crate) fn known_folders(&self) -> KnownFolders {
        let tagged = self.paths.iter().filter_map(|path| {
            let tag = path.tag()?.as_text().to_owned();
            Some((path.text.clone(), tag))
        });
        tagged.collect()
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

    /// Where the file of a row lies.
    ///
    /// # Errors
    /// `InvalidData` when the path is below no store path, former ones included. Its volume is not
    /// there, or its disk does not let the visitor in.
    pub(crate) fn find(&self, path: &str, visitor: Visitor) -> io::Result<Place> {
        let (store_path, relative) = self.below(path).ok_or_else(|| outside(path))?;
        let (root, pass) = store_path.enter(visitor)?;
        Ok(Place {
            root,
            pass,
            relative: relative.to_owned(),
            prefix: path[..path.len() - relative.len()].to_owned(),
        })
    }

    /// The store path that a path is below, and the path from there. Of nested ones the innermost.
    fn below<'a>(&self, path: &'a str) -> Option<(&Arc<StorePath>, &'a str)> {
        self.every()
            .filter_map(|store_path| {
                let relative = path.strip_prefix(&store_path.text)?.strip_prefix('/')?;
                Some((store_path, relative))
            })
            .min_by_key(|(_, relative)| relative.len())
    }

    /// Whether it is this store path that a path is below.
    pub(crate) fn is_below(&self, path: &str, store_path: &Arc<StorePath>) -> bool {
        self.below(path)
            .is_some_and(|(found, _)| Arc::ptr_eq(found, store_path))
    }

    /// Whether a path is below any of them.
    pub(crate) fn is_below_any(&self, path: &str) -> bool {
        self.below(path).is_some()
    }

    /// Those that take files.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<StorePath>> {
        self.paths.iter()
    }

    /// Those, and former ones.
    pub(crate) fn every(&self) -> impl Iterator<Item = &Arc<StorePath>> {
        self.paths.iter().chain(&self.former)
    }
}
