//! Whether an open file still has a name: a file that is kept open may have been deleted, on a shared file
//! system also by another host.

use std::io;
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::fs::{AtFlags, Statx, StatxFlags, fstatfs, statx};

/// How long a check holds on a shared file system. A storage that deletes a file answers its client only after
/// this time: then nobody trusts a check from before the deletion. All programs use the same time, so it is no
/// setting.
pub const CHECK_HOLDS: Duration = Duration::from_millis(20);

/// File systems that a single kernel changes (`f_type` of statfs(2)): ext2 to ext4, XFS, Btrfs, F2FS,
/// ZFS, Bcachefs, tmpfs.
const LOCAL_FILE_SYSTEMS: [u32; 7] = [
    0xEF53,
    0x5846_5342,
    0x9123_683E,
    0xF2F5_2010,
    0x2FC1_2FC1,
    0xCA45_1A4E,
    0x0102_1994,
];

/// True if other hosts may change the files: GlusterFS, and all file systems that are not known to be local.
///
/// # Errors
/// The file system does not answer.
pub fn is_shared(file: impl AsFd) -> io::Result<bool> {
    // The field is signed on some platforms and has 64 bits; the numbers have 32.
    let kind = fstatfs(file)?.f_type as u32;
    Ok(!LOCAL_FILE_SYSTEMS.contains(&kind))
}

/// The latest check of one open file. On a local file system each use of the file checks. On a shared one a
/// check asks other hosts, so it holds for [`CHECK_HOLDS`].
#[derive(Debug)]
pub struct LinkCheck {
    /// Unknown until the first check of a file that another process has opened.
    is_shared: OnceLock<bool>,
    /// The file when it was opened.
    opened: Names,
    latest: Mutex<Option<Check>>,
}

/// The properties of a file that a deletion changes.
#[derive(Debug, PartialEq, Eq)]
struct Names {
    /// Number of names. A deletion takes one away, also from a file that has another name: a backup may consist of
    /// hard links.
    links: u32,
    /// The time of change in seconds and nanoseconds. A new name and a deletion between two checks change it. Not
    /// compared on a shared file system: it may differ between hosts.
    changed: (i64, u32),
}

#[derive(Debug)]
struct Check {
    began: Instant,
    size: u64,
}

impl LinkCheck {
    /// The check that opening the file was: the open began after `began`, and a [`look`] at the file `found` this.
    pub fn new(is_shared: bool, found: &Statx, began: Instant) -> LinkCheck {
        let size = found.stx_size;
        LinkCheck {
            is_shared: is_shared.into(),
            opened: Names::of(found),
            latest: Mutex::new(Some(Check { began, size })),
        }
    }

    /// The check of a file that another process has opened, with so many links. The first use looks at the file.
    /// `found` is the result of [`look_in_memory`], when a name may be removed already.
    pub fn of_passed(found: &Statx, links: u32) -> LinkCheck {
        LinkCheck {
            is_shared: OnceLock::new(),
            opened: Names {
                links,
                ..Names::of(found)
            },
            latest: Mutex::default(),
        }
    }

    /// True if the file is known to be on a local file system: then a check waits for nothing.
    pub fn is_local(&self) -> bool {
        self.is_shared.get() == Some(&false)
    }

    /// Number of links when the file was opened.
    pub fn links(&self) -> u32 {
        self.opened.links
    }

    /// The size of the file; none if a name of it was removed since it was opened.
    ///
    /// # Errors
    /// The file system does not answer, or the file is gone.
    pub fn size(&self, file: impl AsFd, now: Instant) -> io::Result<Option<u64>> {
        if !self.find_shared(&file)? {
            let found = look(file, AtFlags::empty())?;
            let is_same = self.has_names(&found) && self.opened == Names::of(&found);
            return Ok(is_same.then_some(found.stx_size));
        }
        // One user checks; the others that came meanwhile use the result.
        let mut latest = self.latest.lock();
        if let Some(check) = &*latest
            && now.saturating_duration_since(check.began) < CHECK_HOLDS
        {
            return Ok(Some(check.size));
        }
        let began = Instant::now();
        let found = look(file, AtFlags::STATX_FORCE_SYNC)?;
        if !self.has_names(&found) {
            return Ok(None);
        }
        let size = found.stx_size;
        *latest = Some(Check { began, size });
        Ok(Some(size))
    }

    fn find_shared(&self, file: impl AsFd) -> io::Result<bool> {
        if let Some(known) = self.is_shared.get() {
            return Ok(*known);
        }
        let found = is_shared(file)?;
        Ok(*self.is_shared.get_or_init(|| found))
    }

    fn has_names(&self, found: &Statx) -> bool {
        found.stx_nlink > 0 && found.stx_nlink == self.opened.links
    }
}

impl Names {
    fn of(found: &Statx) -> Names {
        Names {
            links: found.stx_nlink,
            changed: (found.stx_ctime.tv_sec, found.stx_ctime.tv_nsec),
        }
    }
}

/// The properties of a file as the kernel knows them. Waits for no disk and no host.
///
/// # Errors
/// The kernel cannot tell.
pub fn look_in_memory(file: impl AsFd) -> io::Result<Statx> {
    look(file, AtFlags::STATX_DONT_SYNC)
}

/// The properties of a file. `sync` tells statx(2) whether to ask other hosts.
///
/// # Errors
/// The file system does not answer.
pub fn look(file: impl AsFd, sync: AtFlags) -> io::Result<Statx> {
    Ok(statx(
        file,
        "",
        AtFlags::EMPTY_PATH | sync,
        StatxFlags::BASIC_STATS,
    )?)
}
