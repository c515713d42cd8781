//! Processes: started here, or found by their command lines.
//!
//! Signals go through a pidfd, because a process id may come to mean another process.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use super::guard::guard_process;

/// A process. Dropping it leaves the process running.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    fd: OwnedFd,
    /// Present if this program started the process and has not reaped it yet.
    child: Option<Child>,
}

/// The end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// Another program is its parent, or an earlier wait has told its end.
    Unknown,
}

impl Process {
    /// Starts a child that leads a process group and outlives this program.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(command: &mut Command) -> anyhow::Result<Process> {
        let start = |command: &mut Command| -> anyhow::Result<Process> {
            let child = command.process_group(0).spawn()?;
            let pid = Pid::from_child(&child);
            let fd = pidfd_open(pid, PidfdFlags::empty())?;
            let child = Some(child);
            Ok(Process { pid, fd, child })
        };
        start(command).with_context(|| format!("cannot start {:?}", command.get_program()))
    }

    /// All processes whose arguments match.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn find_all(is_match: impl Fn(&[&[u8]]) -> bool) -> anyhow::Result<Vec<Process>> {
        let entries = fs::read_dir("/proc").context("cannot read /proc")?;
        let find = |name: &str| {
            let pid = Pid::from_raw(name.parse().ok()?)?;
            if !runs_with(pid, &is_match) {
                return None;
            }
            let fd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
            // The number may have changed its meaning before the pidfd was open.
            let child = None;
            runs_with(pid, &is_match).then_some(Process { pid, fd, child })
        };
        let names = entries.flatten().map(|entry| entry.file_name());
        Ok(names.filter_map(|name| find(name.to_str()?)).collect())
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Sends a signal. A process that has ended gets none.
    ///
    /// # Errors
    /// The process belongs to another user.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        match pidfd_send_signal(&self.fd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(e) => Err(e).with_context(|| format!("cannot signal process {}", self.pid())),
        }
    }

    /// Waits for the end. None after the timeout.
    ///
    /// # Errors
    /// The system refuses the wait.
    pub fn wait(&mut self, timeout: Duration) -> anyhow::Result<Option<Exit>> {
        if !self.ends_within(timeout)? {
            return Ok(None);
        }
        let Some(mut child) = self.child.take() else {
            return Ok(Some(Exit::Unknown));
        };
        let status = child.wait()?;
        Ok(Some(match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Unknown,
        }))
    }

    /// Kills the process and waits for its end.
    ///
    /// # Errors
    /// It belongs to another user, or still runs after the timeout.
    pub fn kill(&mut self, timeout: Duration) -> anyhow::Result<()> {
        self.signal(Signal::KILL)?;
        match self.wait(timeout)? {
            Some(_) => Ok(()),
            None => bail!("process {} runs {timeout:?} after its kill", self.pid()),
        }
    }

    /// True until the process has ended.
    pub fn is_alive(&self) -> bool {
        matches!(self.ends_within(Duration::ZERO), Ok(false))
    }

    fn ends_within(&self, timeout: Duration) -> anyhow::Result<bool> {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs())?,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        loop {
            match poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&timeout)) {
                Ok(n_ready) => return Ok(n_ready > 0),
                Err(Errno::INTR) => {}
                Err(e) => bail!("cannot wait for process {}: {e}", self.pid()),
            }
        }
    }
}

/// True if `/proc` shows the process with matching arguments.
fn runs_with(pid: Pid, is_match: impl Fn(&[&[u8]]) -> bool) -> bool {
    let Ok(line) = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())) else {
        return false;
    };
    // Each argument ends in a NUL; a process that has ended has none.
    let Some(line) = line.strip_suffix(b"\0") else {
        return false;
    };
    is_match(&line.split(|&byte| byte == 0).collect::<Vec<_>>())
}

/// A child that does not outlive this program, in whatever way this program ends. Dropping it kills
/// the child with its process group.
#[derive(Debug)]
pub struct OwnedProcess(Process);

impl OwnedProcess {
    /// Starts a child.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(command: &mut Command) -> anyhow::Result<OwnedProcess> {
        OwnedProcess::own(Process::spawn(command)?)
    }

    /// Takes over a child of this program.
    ///
    /// # Errors
    /// The child has ended.
    pub fn own(process: Process) -> anyhow::Result<OwnedProcess> {
        let owned = OwnedProcess(process);
        guard_process(owned.pid())?;
        Ok(owned)
    }
}

impl Deref for OwnedProcess {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

impl DerefMut for OwnedProcess {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.0
    }
}

impl Drop for OwnedProcess {
    fn drop(&mut self) {
        // Once the child is reaped, its group may have another meaning.
        if let Some(child) = &mut self.0.child {
            let _ = kill_process_group(self.0.pid, Signal::KILL);
            let _ = child.wait();
        }
    }
}
