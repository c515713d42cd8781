//! The pid file.
//!
//! Its lock means that the daemon runs; its content is only the number of the process. The kernel
//! releases the lock when the process ends, so a file that is left behind has no effect.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use base::thread;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::{Errno, retry_on_intr};
use thiserror::Error;

/// A number, and a line feed.
const CONTENT_MAX: u64 = 32;
/// Init scripts of any user may read it, whatever the daemon's umask is.
const MODE: u32 = 0o644;
/// How long to wait for the lock: init scripts test it by taking it for an instant.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// Another process holds the pid file.
#[derive(Debug, Error)]
#[error("runs already{}; {} is locked", as_process(*pid), path.display())]
pub(crate) struct AlreadyRuns {
    pid: Option<u32>,
    path: PathBuf,
}

/// The pid file of this process. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Locks the file and writes this process's number into it.
    ///
    /// # Errors
    /// [`AlreadyRuns`]; or the file cannot be made.
    pub(super) fn take(path: &Path) -> anyhow::Result<PidFile> {
        // The working folder may change later.
        let path = std::path::absolute(path)?;
        let file = lock(&path, Instant::now() + LOCK_WAIT)?;
        let pid_file = PidFile { path, file };
        pid_file
            .write()
            .with_context(|| format!("cannot write {}", pid_file.path.display()))?;
        Ok(pid_file)
    }

    /// A reader finds a whole number in the first line at any time: one write makes the line, and a
    /// truncation removes older bytes behind it.
    fn write(&self) -> io::Result<()> {
        let text = format!("{}\n", std::process::id());
        // Fails only if another user has left the file behind, and then is not needed.
        drop(self.file.set_permissions(Permissions::from_mode(MODE)));
        self.file.write_all_at(text.as_bytes(), 0)?;
        self.file.set_len(text.len() as u64)
    }
}

impl Drop for PidFile {
    /// Removes the file while it is locked, so that it is not the file of another process. In a folder of
    /// root the user of the daemon may only empty it.
    fn drop(&mut self) {
        if is_at(&self.file, &self.path).unwrap_or(false) && fs::remove_file(&self.path).is_err() {
            // The file that is left is not locked.
            drop(self.file.set_len(0));
        }
    }
}

/// Locks the file, if no other process holds the lock until `deadline`.
fn lock(path: &Path, deadline: Instant) -> anyhow::Result<File> {
    loop {
        let file = open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let locked = lock_until(&file, deadline);
        if !locked.with_context(|| format!("cannot lock {}", path.display()))? {
            return Err(AlreadyRuns {
                pid: read_pid(&file),
                path: path.to_owned(),
            }
            .into());
        }
        // Another daemon may have ended and removed it since it was opened.
        if is_at(&file, path).with_context(|| format!("cannot look at {}", path.display()))? {
            return Ok(file);
        }
    }
}

/// Locks the file; false if another process holds the lock until `deadline`. `flock` has no time-out, so it
/// waits on a thread. A thread that is late ends with the process, which does not serve.
fn lock_until(file: &File, deadline: Instant) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {}
        locked => return Ok(locked.map(|()| true)?),
    }
    let waiting = file.try_clone()?;
    let wait = move || retry_on_intr(|| flock(&waiting, FlockOperation::LockExclusive));
    match thread::run_until(deadline, "pid-file", wait) {
        Ok(locked) => Ok(locked.map(|()| true)?),
        Err(e) if e.kind() == io::ErrorKind::TimedOut => Ok(false),
        Err(e) => Err(e),
    }
}

/// Does not follow a link: the folder may belong to the user of the daemon, and this may run as root.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .custom_flags(flags)
        .open(path)
}

/// True if the open file is the one at the path.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// The number in the pid file of another process, if it is written yet.
fn read_pid(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(CONTENT_MAX).read_to_string(&mut text).ok()?;
    text.lines().next()?.trim().parse().ok()
}

fn as_process(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" as process {pid}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("daemon.pid");
        (folder, path)
    }

    fn refusal(path: &Path) -> String {
        let error = PidFile::take(path).unwrap_err();
        error.downcast::<AlreadyRuns>().unwrap().to_string()
    }

    #[test]
    fn it_holds_the_number_while_it_is_held_and_is_gone_afterwards() {
        let (_folder, path) = path();
        let pid_file = PidFile::take(&path).unwrap();
        let pid = std::process::id();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{pid}\n"));
        assert!(refusal(&path).contains(&format!("as process {pid};")));
        drop(pid_file);
        assert!(!path.exists());
        drop(PidFile::take(&path).unwrap());
    }

    #[test]
    fn one_that_was_left_behind_means_nothing() {
        let (_folder, path) = path();
        fs::write(&path, "123456789 and more than this\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let pid_file = PidFile::take(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, MODE);
        let pid = std::process::id();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{pid}\n"));
        drop(pid_file);
    }

    #[test]
    fn a_holder_that_has_not_written_yet_runs_all_the_same() {
        let (_folder, path) = path();
        let file = open(&path).unwrap();
        flock(&file, FlockOperation::LockExclusive).unwrap();
        assert!(refusal(&path).starts_with("runs already; "));
    }

    #[test]
    fn who_looks_whether_it_is_locked_keeps_no_daemon_from_it() {
        let (_folder, path) = path();
        let looking = open(&path).unwrap();
        flock(&looking, FlockOperation::LockShared).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let file = std::thread::scope(|scope| {
            let file = scope.spawn(|| lock(&path, deadline).unwrap());
            test_support::until("the daemon waits", || waits_for(&looking));
            drop(looking);
            file.join().unwrap()
        });
        assert!(is_at(&file, &path).unwrap());
        let error = lock(&path, Instant::now()).unwrap_err();
        assert!(error.is::<AlreadyRuns>(), "{error}");
    }

    /// True if some thread waits for the lock of this file (proc(5), locks).
    fn waits_for(file: &File) -> bool {
        let end = format!(":{} 0 EOF", file.metadata().unwrap().ino());
        let locks = fs::read_to_string("/proc/locks").unwrap();
        let mut lines = locks.lines();
        lines.any(|line| line.contains(" -> ") && line.ends_with(&end))
    }

    #[test]
    fn somebody_elses_file_of_that_name_is_left_alone() {
        let (_folder, path) = path();
        let pid_file = PidFile::take(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "theirs").unwrap();
        drop(pid_file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
    }

    #[test]
    fn links_are_not_followed() {
        let (folder, path) = path();
        let target = folder.path().join("target");
        fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(PidFile::take(&path).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    }
}
