//! `--daemon`: the program starts a second process without a terminal, and ends when that serves.
//!
//! It does not fork: that is unsafe in a process that may have threads. The standard output of the second
//! process is a pipe to the first one, where it writes `ready`. Its standard error is the starter's until
//! then, so that errors of the start are visible.

use std::env;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::{dup2_stderr, dup2_stdout};

/// Environment variable of the second process.
const MARK: &str = "TNV_BACKGROUND";
/// The message of the second process when it serves.
const READY: &[u8] = b"ready\n";
/// Longest time of a start; the same as systemd's default.
const START_MAX: Duration = Duration::from_secs(90);

/// Result of the start of the second process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Started {
    /// It serves.
    Serving,
    /// It ended with this code, and has printed why.
    Failed(u8),
}

/// Starts this program in the background, with the same arguments but `--daemon`, and waits until it
/// serves or has ended.
///
/// # Errors
/// It cannot be started, was killed by a signal, or did not serve in time and was killed here.
pub(crate) fn start() -> anyhow::Result<Started> {
    let mut args = env::args_os();
    let name = args.next().unwrap_or_else(|| "tnv".into());
    let args = args.filter(|arg| arg != "--daemon");
    await_ready(spawn(name, args)?)
}

fn spawn(name: OsString, args: impl Iterator<Item = OsString>) -> anyhow::Result<Child> {
    let program = env::current_exe().context("who am I")?;
    Command::new(&program)
        .arg0(name)
        .args(args)
        .env(MARK, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}

fn await_ready(mut child: Child) -> anyhow::Result<Started> {
    let mut pipe = child.stdout.take().context("the pipe was not made")?;
    let deadline = Instant::now() + START_MAX;
    let mut said = Vec::new();
    while said != READY {
        let mut buffer = [0; READY.len()];
        match readable(&pipe, deadline)?.then(|| pipe.read(&mut buffer)) {
            None => return give_up(child),
            Some(Ok(0)) => return ended(child.wait()?),
            Some(Ok(len)) => said.extend_from_slice(&buffer[..len]),
            Some(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
            Some(Err(e)) => return Err(e).context("cannot hear of the start"),
        }
    }
    Ok(Started::Serving)
}

fn ended(status: ExitStatus) -> anyhow::Result<Started> {
    match status.code().map(u8::try_from) {
        Some(Ok(0)) => bail!("it ended before it served"),
        Some(Ok(code)) => Ok(Started::Failed(code)),
        _ => bail!("it died: {status}"),
    }
}

fn give_up(mut child: Child) -> anyhow::Result<Started> {
    child.kill()?;
    child.wait()?;
    bail!("it did not serve within {START_MAX:?} and was killed")
}

/// True if bytes or the end of the pipe can be read before the deadline.
fn readable(pipe: &ChildStdout, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: left.as_secs().cast_signed(),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&timeout)) {
            Ok(n_ready) => return Ok(n_ready > 0),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// True in the second process.
pub(crate) fn is_background() -> bool {
    env::var_os(MARK).is_some()
}

/// Leaves the session of the terminal, whose end would end this process.
pub(crate) fn leave_terminal() {
    // Fails only if this process leads a session already.
    let _ = rustix::process::setsid();
}

/// Notifies the starter, and detaches from its standard streams.
///
/// # Errors
/// There is no `/dev/null`.
pub(crate) fn tell_starter() -> io::Result<()> {
    // Serve even if the starter was killed meanwhile.
    drop(
        io::stdout()
            .write_all(READY)
            .and_then(|()| io::stdout().flush()),
    );
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}
