//! Processes that others started: found by their arguments, killed through a pidfd, which cannot
//! come to mean another process, as a number can.

use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The process that has `args` next to each other among its arguments.
pub(crate) fn find(args: &[&str]) -> Option<OwnedFd> {
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
            return Some(fd);
        }
    }
    None
}

/// Kills a process and waits for its end.
///
/// # Errors
/// It may not be killed, or lives on.
pub(crate) fn kill(process: &OwnedFd) -> anyhow::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(10);
    pidfd_send_signal(process, Signal::KILL).context("cannot kill")?;
    let timeout = Timespec {
        tv_sec: i64::try_from(PATIENCE.as_secs())?,
        tv_nsec: 0,
    };
    let ended = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&timeout))?;
    ensure!(ended > 0, "killed, and alive after {PATIENCE:?}");
    Ok(())
}

fn has(pid: Pid, args: &[&str]) -> bool {
    let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let found: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
    found
        .windows(args.len())
        .any(|window| window.iter().zip(args).all(|(a, b)| *a == b.as_bytes()))
}
