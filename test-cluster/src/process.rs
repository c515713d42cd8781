//! One daemon's process: started here, or found running.
//!
//! Signals go through a pidfd, which cannot come to mean another process, as a number can.

use std::fs::{self, File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::binaries::Binaries;
use crate::plan::{Node, Plan};

/// Lines of a log that an error shows.
const LINES_SHOWN: usize = 12;

/// A process that runs, or ran, a node of a plan. Dropping it leaves it running.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    fd: OwnedFd,
    /// Present when this program started it: then it has to be reaped, and the exit code is known.
    child: Option<Child>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It was somebody else's child.
    Unknown,
}

impl Process {
    /// Starts a node so that it outlives this program and holds none of its pipes.
    ///
    /// # Errors
    /// There is no such program, or no process to be had.
    pub fn spawn(plan: &Plan, node: &Node, binaries: &Binaries) -> anyhow::Result<Process> {
        let program = binaries.daemon(node.role);
        let spawn = || -> anyhow::Result<Process> {
            let mut log = OpenOptions::new();
            let err = log.create(true).append(true).open(plan.err_log(node))?;
            let child = Command::new(&program)
                .arg("--config")
                .arg(plan.config(node))
                .current_dir(plan.work_folder(node))
                .env_remove("RUST_LOG")
                .stdin(Stdio::null())
                .stdout(err.try_clone()?)
                .stderr(err)
                .process_group(0)
                .spawn()?;
            Process::adopt(child)
        };
        spawn().with_context(|| format!("cannot start {} as {}", program.display(), node.name))
    }

    /// A child of this program.
    ///
    /// # Errors
    /// There is no descriptor to be had.
    pub(crate) fn adopt(child: Child) -> anyhow::Result<Process> {
        let fd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        Ok(Process {
            pid: child.id(),
            fd,
            child: Some(child),
        })
    }

    /// The process that runs a node, whoever started it.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn find(plan: &Plan, node: &Node) -> anyhow::Result<Option<Process>> {
        let config = plan.config(node);
        let config = config.as_os_str().as_encoded_bytes();
        let found = find_all(|args| matches!(args, [_, b"--config", path] if *path == config));
        Ok(found?.pop())
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal; to a process that is gone, none.
    ///
    /// # Errors
    /// The process belongs to somebody else.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        match pidfd_send_signal(&self.fd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(e) => Err(e).with_context(|| format!("cannot signal process {}", self.pid)),
        }
    }

    /// Waits for its end; nothing if it lives on.
    ///
    /// # Errors
    /// The system does not let us wait.
    pub fn wait(&mut self, patience: Duration) -> anyhow::Result<Option<Exit>> {
        let timeout = Timespec {
            tv_sec: i64::try_from(patience.as_secs())?,
            tv_nsec: patience.subsec_nanos().into(),
        };
        loop {
            let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) => return Ok(None),
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(e) => bail!("cannot wait for process {}: {e}", self.pid),
            }
        }
        let Some(child) = &mut self.child else {
            return Ok(Some(Exit::Unknown));
        };
        let status = child.wait()?;
        Ok(Some(match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Unknown,
        }))
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.wait(Duration::ZERO), Ok(None))
    }
}

/// The processes, whoever started them, whose command line is one.
///
/// # Errors
/// `/proc` cannot be read.
pub(crate) fn find_all(is_one: impl Fn(&[&[u8]]) -> bool) -> anyhow::Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")
        .context("cannot read /proc")?
        .flatten()
    {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if !runs_with(pid, &is_one) {
            continue;
        }
        let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            continue;
        };
        // Looked at again behind the pidfd: what it means now is what we have.
        if let Ok(fd) = pidfd_open(number, PidfdFlags::empty())
            && runs_with(pid, &is_one)
        {
            let child = None;
            found.push(Process { pid, fd, child });
        }
    }
    Ok(found)
}

/// Whether `/proc` shows the process with such a command line.
fn runs_with(pid: u32, is_one: impl Fn(&[&[u8]]) -> bool) -> bool {
    let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    // Each argument ends in a NUL; a process that died has none.
    let Some(line) = line.strip_suffix(b"\0") else {
        return false;
    };
    let args: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
    is_one(&args)
}

/// The end of what a node logged, for whoever wonders why it died.
pub(crate) fn last_words(plan: &Plan, node: &Node) -> String {
    log_end(&plan.log(node)) + &log_end(&plan.err_log(node))
}

/// The end of a log.
pub(crate) fn log_end(path: &Path) -> String {
    let text = File::open(path)
        .and_then(std::io::read_to_string)
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let mut words = format!("\n--- {}", path.display());
    for line in &lines[lines.len().saturating_sub(LINES_SHOWN)..] {
        words += "\n    ";
        words += line;
    }
    words
}
