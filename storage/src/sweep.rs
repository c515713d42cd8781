//! What uploads of dead processes left behind.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use log::{debug, info, warn};
use rustix::fs::{FileType, StatxFlags};

use crate::beneath::{Root, join};
use crate::gate::Visitor;
use crate::store_path::StorePath;

/// A temporary file that has not changed for this long is of a process that died: live uploads are
/// dropped far sooner when they stall.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);
/// Files that are remembered; further ones are looked at when some of these are gone.
const SEEN_MAX: usize = 65_536;

/// Removes temporary files that dead processes left in a store path. Their times of change were
/// written by the clock of another machine, so no clock is compared: a file is abandoned when two
/// looks, an hour of this process apart, find it unchanged.
#[derive(Default)]
pub(crate) struct Sweep {
    /// By path below the store path.
    seen: HashMap<String, Seen>,
}

/// What a temporary file was like.
#[derive(Debug, Clone, Copy)]
struct Seen {
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, u32),
    /// The first look that found it so.
    since: Instant,
    /// The latest look.
    looked: Instant,
}

impl Sweep {
    /// Looks at all folders of a store path. `go_on` is asked at each.
    pub(crate) fn run(&mut self, store_path: &StorePath, now: Instant, go_on: &dyn Fn() -> bool) {
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            if !go_on() {
                return;
            }
            let looked = store_path
                .enter(Visitor::Chore)
                .and_then(|(root, _pass)| self.look(&root, &folder, now, &mut folders));
            match looked {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => debug!("{}/{folder}: not swept: {e}", store_path.text),
            }
        }
        self.seen.retain(|_, seen| seen.looked == now);
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
                self.seen.remove(&path);
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
        let new = Seen {
            size: stat.stx_size,
            modified: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            since: now,
            looked: now,
        };
        match self.seen.get_mut(path) {
            Some(seen) if (seen.size, seen.modified) == (new.size, new.modified) => {
                seen.looked = now;
                Ok(now.duration_since(seen.since) >= ABANDONED_AFTER)
            }
            Some(seen) => {
                *seen = new;
                Ok(false)
            }
            None => {
                if self.seen.len() < SEEN_MAX {
                    self.seen.insert(path.to_owned(), new);
                }
                Ok(false)
            }
        }
    }
}

/// Whether a folder of this name holds files: three hex digits.
pub(crate) fn is_folder_name(name: &str) -> bool {
    name.len() == 3 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether the name has the form `.<time>_<digits>.<random>`, or is of a probe or a tag that was not
/// finished.
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
        let store_path = crate::store_path::tests::open(folder.path().to_str().unwrap());
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

        let (mut sweep, began) = (Sweep::default(), Instant::now());
        let mut run = |after: Duration| sweep.run(&store_path, began + after, &|| true);
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
