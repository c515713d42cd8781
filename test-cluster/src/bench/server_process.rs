//! Programs that run beside the measurement and end with it, in whatever way it ends.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use test_support::process::OwnedProcess;
use test_support::wait_for;

/// Longest wait for a server to listen.
const START: Duration = Duration::from_secs(60);

/// A running program. Dropping it ends the program.
#[derive(Debug)]
pub(super) struct ServerProcess {
    process: OwnedProcess,
    log: PathBuf,
}

impl ServerProcess {
    /// Runs a program. Its output goes to `log`.
    pub(super) fn start<A: AsRef<OsStr>>(
        program: &Path,
        args: impl IntoIterator<Item = A>,
        log: &Path,
    ) -> anyhow::Result<ServerProcess> {
        let output =
            File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        Ok(ServerProcess {
            process: OwnedProcess::spawn(&mut command)?,
            log: log.to_owned(),
        })
    }

    /// Runs this program with other arguments.
    pub(super) fn start_this_program<A: AsRef<OsStr>>(
        args: impl IntoIterator<Item = A>,
        log: &Path,
    ) -> anyhow::Result<ServerProcess> {
        let program = std::env::current_exe().context("the path of this program")?;
        ServerProcess::start(&program, args, log)
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Waits until the program accepts connections.
    pub(super) fn wait_listening(&self, addr: SocketAddr) -> anyhow::Result<()> {
        wait_for("a program to listen", START, || {
            TcpStream::connect(addr)
                .map(drop)
                .map_err(|error| format!("{error}; its output: {}", self.output()))
        })
    }

    /// The output so far.
    pub(super) fn output(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.trim().to_owned()
    }
}
