//! Removes temporary files of processes that died.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use log::{debug, info, warn};
use rustix::fs::{FileType, StatxFlags};

use crate::disks::limiter::DiskCaller;
use crate::disks::root::{Root, join};
use crate::disks::store_path::StorePath;
use crate::disks::store_paths::is_folder_name;

/// A temporary file without changes for this long belongs to a dead process: a stalled upload is
/// dropped far sooner.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);
/// Limit on observed files. Further ones are observed when some of these are gone.
const OBSERVED_MAX: usize = 65_536;

/// The temporary files of one store path. Their times come from the clock of another machine, so
/// no clocks are compared: a file is abandoned when two observations, an hour of this process
/// apart, find it unchanged.
#[derive(Default)]
pub(crate) struct Cleanup {
    /// By path relative to the store path.
    observed: HashMap<String, Observation>,
}

/// The attributes of a temporary file.
#[derive(Debug, Clone, Copy)]
struct Observation {
    size: u64,
    /// Time of change, seconds and nanoseconds.
    modified: (i64, u32),
    /// The first observation of these attributes.
    since: Instant,
    /// The latest observation.
    looked: Instant,
}

impl Cleanup {
    /// Walks all folders of a store path, while `go_on` says so.
    pub(crate) fn run(&mut self, store_path: &StorePath, now: Instant, go_on: &dyn Fn() -> bool) {
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            if !go_on() {
                return;
            }
            let looked = store_path
                .resolve("", DiskCaller::Background)
                .and_then(|at| self.look(&at.root, &folder, now, &mut folders));
            match looked {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => debug!("{}/{folder}: not swept: {e}", store_path.text),
            }
        }
        self.observed.retain(|_, observed| observed.looked == now);
    }

    fn look(
        &mut self,
        root: &Root,
        folder: &str,
        now: Instant,
        folders: &mut Vec<String>,
    ) -> io::Result<()> {
        for entry in root.entries(folder)? {
            let (name, kind) = entry?;
            let path = join(folder, &name);
            if is_folder_name(&name) && matches!(kind, FileType::Directory | FileType::Unknown) {
                folders.push(path);
            } else if is_temporary_name(&name) && self.is_abandoned(root, &path, now)? {
                self.observed.remove(&path);
                match root.unlink(&path) {
                    Ok(_) => info!("removed {path}, left by an upload"),
                    Err(e) => warn!("cannot remove {path}: {e}"),
                }
            }
        }
        Ok(())
    }

    fn is_abandoned(&mut self, root: &Root, path: &str, now: Instant) -> io::Result<bool> {
        let stat = match root.statx(path, StatxFlags::SIZE | StatxFlags::MTIME) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
            stat => stat?,
        };
        let new = Observation {
            size: stat.stx_size,
            modified: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            since: now,
            looked: now,
        };
        match self.observed.get_mut(path) {
            Some(observed) if (observed.size, observed.modified) == (new.size, new.modified) => {
                observed.looked = now;
                Ok(now.duration_since(observed.since) >= ABANDONED_AFTER)
            }
            Some(observed) => {
                *observed = new;
                Ok(false)
            }
            None => {
                if self.observed.len() < OBSERVED_MAX {
                    self.observed.insert(path.to_owned(), new);
                }
                Ok(false)
            }
        }
    }
}

/// True for names of the form `.<time>_<digits>.<random>`, and of unfinished probes and tags.
fn is_temporary_name(name: &str) -> bool {
    let parts = name.strip_prefix('.').and_then(|name| name.split_once('.'));
    parts.is_some_and(|(name, random)| {
        let is_ours = name.contains('_') || matches!(name, "tnv-probe" | "tnv-folder");
        is_ours && random.len() == 16
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, FileTimes};
    use std::time::SystemTime;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn what_does_not_change_for_an_hour_is_removed_whatever_its_time_says() {
        let folder = tempfile::tempdir().unwrap();
        let store_path = crate::disks::store_path::tests::open(folder.path().to_str().unwrap());
        let files = folder.path().join("000/001/002");
        fs::create_dir_all(&files).unwrap();
        let make = |name: &str, modified: SystemTime| {
            let file = File::create(files.join(name)).unwrap();
            let times = FileTimes::new().set_modified(modified);
            file.set_times(times).unwrap();
        };
        let (past, future) = (SystemTime::UNIX_EPOCH, SystemTime::now() + 8 * HOUR);
        let [stale, ahead, live] = ["000", "001", "002"].map(|digits| {
            let random = "0123456789abcdef";
            format!(".5F9E3FA7_{digits}.{random}")
        });
        make(&stale, past);
        make(&ahead, future);
        make(&live, past);
        make("5F9E3FA7_003", past);
        make("notes.txt", past);
        make(".tnv-probe.0123456789abcdef", past);
        let names = || fs::read_dir(&files).unwrap().count();

        let (mut cleanup, began) = (Cleanup::default(), Instant::now());
        let mut run = |after: Duration| cleanup.run(&store_path, began + after, &|| true);
        run(Duration::ZERO);
        run(HOUR / 2);
        assert_eq!(
            names(),
            6,
            "one look is not enough, and half an hour neither"
        );
        fs::write(files.join(&live), "more").unwrap();
        run(HOUR);
        assert!(!files.join(&stale).exists() && !files.join(&ahead).exists());
        assert!(files.join(&live).exists());
        assert_eq!(names(), 3);
        run(HOUR * 2);
        assert_eq!(names(), 2);
    }
}
