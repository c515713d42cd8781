//! Processes that others started: found by their arguments, killed through a pidfd, which cannot
//! come to mean another process, as a number can.

use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Longest wait for a process to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) pid: u32,
    fd: OwnedFd,
}

/// The process that has `args` next to each other among its arguments.
pub(crate) fn find(args: &[&str]) -> Option<Found> {
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let Some(pid) = number.and_then(Pid::from_raw) else {
            continue;
        };
        // Looked at again behind the pidfd: what it means now is what we have.
        if has(pid, args)
            && let Ok(fd) = pidfd_open(pid, PidfdFlags::empty())
            && has(pid, args)
        {
            let pid = pid.as_raw_nonzero().get().unsigned_abs();
            return Some(Found { pid, fd });
        }
    }
    None
}

impl Found {
    /// Kills it and waits for its end.
    ///
    /// # Errors
    /// It may not be killed, or lives on.
    pub(crate) fn kill(&self) -> anyhow::Result<()> {
        match pidfd_send_signal(&self.fd, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => self.wait(),
            Err(e) => Err(e).context("cannot kill"),
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It lives on.
    pub(crate) fn wait(&self) -> anyhow::Result<()> {
        let timeout = Timespec {
            tv_sec: i64::try_from(PATIENCE.as_secs())?,
            tv_nsec: 0,
        };
        let ended = poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&timeout))?;
        ensure!(ended > 0, "process {} lives after {PATIENCE:?}", self.pid);
        Ok(())
    }
}

fn has(pid: Pid, args: &[&str]) -> bool {
    let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let found: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
    found
        .windows(args.len())
        .any(|window| window.iter().zip(args).all(|(a, b)| *a == b.as_bytes()))
}
