//! Whether an open file still has a name: a file that is kept open may have been deleted, on a shared file
//! system also by another host.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::fs::{AtFlags, Statx, StatxFlags, fstatfs, statx};

/// How long a check holds on a shared file system. A storage that deletes a file answers its client only after
/// this time: then nobody trusts a check from before the deletion. All programs use the same time, so it is no
/// setting.
pub(crate) const CHECK_HOLDS: Duration = Duration::from_millis(20);

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
pub(crate) fn is_shared(file: impl AsFd) -> io::Result<bool> {
    // The field is signed on some platforms and has 64 bits; the numbers have 32.
    let kind = fstatfs(file)?.f_type as u32;
    Ok(!LOCAL_FILE_SYSTEMS.contains(&kind))
}

/// The latest check of one open file. On a local file system each use of the file checks. On a shared one a
/// check asks other hosts, so it holds for [`CHECK_HOLDS`].
#[derive(Debug)]
pub(crate) struct LinkCheck {
    is_shared: bool,
    /// Number of names when the file was opened. A deletion takes one away, also from a file that has another name:
    /// a backup may consist of hard links. `None` if it is unknown.
    links: Option<u32>,
    /// The time of change when the file was opened, in seconds and nanoseconds. A new name and a deletion between two
    /// checks change it. Not of a shared file system: it may differ between hosts.
    changed: Option<(i64, u32)>,
    latest: Mutex<Check>,
}

#[derive(Debug)]
struct Check {
    began: Instant,
    size: u64,
}

impl LinkCheck {
    /// The check that opening the file was: the open began after `began`, and the file had this size.
    pub(crate) fn new(is_shared: bool, file: impl AsFd, began: Instant, size: u64) -> LinkCheck {
        let stat = look(file, AtFlags::empty()).ok();
        LinkCheck {
            is_shared,
            links: stat.map(|stat| stat.stx_nlink),
            changed: stat.as_ref().map(changed),
            latest: Mutex::new(Check { began, size }),
        }
    }

    /// The size of the file; none if a name of it was removed since it was opened.
    ///
    /// # Errors
    /// The file system does not answer, or the file is gone.
    pub(crate) fn size(&self, file: impl AsFd, now: Instant) -> io::Result<Option<u64>> {
        if !self.is_shared {
            let stat = look(file, AtFlags::empty())?;
            let is_same = self.has_names(&stat) && self.changed == Some(changed(&stat));
            return Ok(is_same.then_some(stat.stx_size));
        }
        // One user checks; the others that came meanwhile use the result.
        let mut latest = self.latest.lock();
        let began = Instant::now();
        if now.max(latest.began) - latest.began >= CHECK_HOLDS {
            let stat = look(file, AtFlags::STATX_FORCE_SYNC)?;
            if !self.has_names(&stat) {
                return Ok(None);
            }
            let size = stat.stx_size;
            *latest = Check { began, size };
        }
        Ok(Some(latest.size))
    }

    fn has_names(&self, stat: &Statx) -> bool {
        stat.stx_nlink > 0 && self.links == Some(stat.stx_nlink)
    }
}

fn look(file: impl AsFd, sync: AtFlags) -> io::Result<Statx> {
    let fields = StatxFlags::SIZE | StatxFlags::NLINK | StatxFlags::CTIME;
    Ok(statx(file, "", AtFlags::EMPTY_PATH | sync, fields)?)
}

fn changed(stat: &Statx) -> (i64, u32) {
    (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec)
}
