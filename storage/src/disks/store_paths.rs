//! All store paths: which one takes the next file, and which one holds a given file.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;

use crate::config::{Config, folder_of};
use crate::disks::expected_folder::Access;
use crate::disks::identity_files::FolderTag;
use crate::disks::limiter::{DiskCaller, DiskLimiter, DiskLimiters};
use crate::disks::root::outside;
use crate::disks::store_path::{ResolvedPath, StorePath};
use crate::state::identity::{KnownFolders, known_folders};

/// True for the name of a folder that holds files: three hex digits, `000` to `1FF`.
pub(crate) fn is_folder_name(name: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    name.len() == 3 && name.bytes().all(is_digit)
}

/// All store paths, in the order of the configuration.
pub(crate) struct StorePaths {
    paths: Vec<Arc<StorePath>>,
    /// Store paths of an earlier configuration: files are read and removed there, never created.
    former: Vec<Arc<StorePath>>,
    next_start: AtomicUsize,
}

impl StorePaths {
    /// Opens them all.
    ///
    /// # Errors
    /// One cannot be created, or is not the expected folder; the error says which and why.
    pub(crate) fn open(config: &Config, access: Access) -> anyhow::Result<StorePaths> {
        let (current, former) = (&config.store_paths, &config.former_store_paths);
        let n_disks = current.len() + former.len();
        let timeout = config.disk_timeout.duration();
        let limiters = DiskLimiters::new(n_disks, &config.server, timeout);
        let known = known_folders(&config.state_file)?;
        let disks: Vec<_> = (0..n_disks).map(|idx| limiters.limiter(idx)).collect();
        let (disks, former_disks) = disks.split_at(current.len());
        let open = |(text, limiter): (&String, &DiskLimiter)| {
            let known = known.get(folder_of(text)).cloned();
            let known = known.map(FolderTag::from_text);
            StorePath::open(text, config, access, known, limiter.clone())
                .map(Arc::new)
                .with_context(|| format!("store path {text}"))
        };
        let open_former = |(text, limiter): (&String, &DiskLimiter)| {
            StorePath::open_former(text, config, limiter.clone())
                .map(Arc::new)
                .with_context(|| format!("former store path {text}"))
        };
        let paths = current.iter().zip(disks).map(open);
        let former = former.iter().zip(former_disks).map(open_former);
        Ok(StorePaths {
            paths: paths.collect::<anyhow::Result<_>>()?,
            former: former.collect::<anyhow::Result<_>>()?,
            next_start: AtomicUsize::new(0),
        })
    }

    /// The tags of the current store paths' folders.
    pub(crate) fn known_folders(&self) -> KnownFolders {
        let tagged = self.paths.iter().filter_map(|path| {
            let tag = path.tag()?.as_text().to_owned();
            Some((path.text.clone(), tag))
        });
        tagged.collect()
    }

    /// All current store paths, each call from the next one on: an upload uses the first that takes it.
    pub(crate) fn round_robin(&self) -> impl Iterator<Item = &Arc<StorePath>> {
        let start = self.next_start.fetch_add(1, Ordering::Relaxed) % self.paths.len();
        let (before, from) = self.paths.split_at(start);
        from.iter().chain(before)
    }

    /// True if any took uploads at its latest probe. Never blocks.
    pub(crate) fn take_uploads(&self) -> bool {
        self.paths.iter().any(|path| path.takes_uploads())
    }

    /// True if any served files at its latest probe. Never blocks.
    pub(crate) fn serve_downloads(&self) -> bool {
        self.paths.iter().any(|path| path.serves_downloads())
    }

    /// Resolves the path of a row, and takes a permit for its disk.
    ///
    /// # Errors
    /// `InvalidData` when the path is below no current or former store path. Its volume is away, or
    /// its disk gives no permit in time.
    pub(crate) fn resolve(&self, path: &str, caller: DiskCaller) -> io::Result<ResolvedPath> {
        let (store_path, relative) = self.below(path).ok_or_else(|| outside(path))?;
        store_path.resolve(relative, caller)
    }

    /// The innermost store path above a path, and the relative path.
    fn below<'a>(&self, path: &'a str) -> Option<(&Arc<StorePath>, &'a str)> {
        self.every()
            .filter_map(|store_path| {
                let relative = path.strip_prefix(&store_path.text)?.strip_prefix('/')?;
                Some((store_path, relative))
            })
            .min_by_key(|(_, relative)| relative.len())
    }

    /// Keeps the file of a row's path open no longer.
    pub(crate) fn forget_open_file(&self, path: &str) {
        if let Some((store_path, relative)) = self.below(path) {
            store_path.open_files().forget(relative);
        }
    }

    /// Changes the number of files that each store path keeps open.
    pub(crate) fn set_open_files(&self, max: usize) {
        self.every().for_each(|path| path.open_files().set_max(max));
    }

    /// Limit on files that all store paths keep open.
    pub(crate) fn open_files_max(&self) -> usize {
        self.every().map(|path| path.open_files().max()).sum()
    }

    /// True if this is the innermost store path above a path.
    pub(crate) fn is_below(&self, path: &str, store_path: &Arc<StorePath>) -> bool {
        self.below(path)
            .is_some_and(|(found, _)| Arc::ptr_eq(found, store_path))
    }

    /// True if a path is below any store path.
    pub(crate) fn is_below_any(&self, path: &str) -> bool {
        self.below(path).is_some()
    }

    /// The current store paths.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<StorePath>> {
        self.paths.iter()
    }

    /// The current and the former store paths.
    pub(crate) fn every(&self) -> impl Iterator<Item = &Arc<StorePath>> {
        self.paths.iter().chain(&self.former)
    }
}
