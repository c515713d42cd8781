//! Programs that run beside the measurement and end with it, in whatever way it ends.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;

use test_support::wait_for;

/// Longest wait for a program to be ready.
const START: Duration = Duration::from_secs(60);

/// Tells the number of the program, and ends it at the end of the standard input, which comes when
/// the measurement ends.
const WATCHDOG: &str = r#"
log=$1; shift
"$@" </dev/null >"$log" 2>&1 & program=$!
echo $program
read -r never
kill $program 2>/dev/null
wait $program 2>/dev/null
"#;

/// A program and the shell above it. Dropping it ends both.
#[derive(Debug)]
pub(super) struct Companion {
    pid: u32,
    watchdog: Child,
}

impl Companion {
    /// Runs a program; what it says goes to `log`.
    pub(super) fn start<A: AsRef<OsStr>>(
        program: &Path,
        args: impl IntoIterator<Item = A>,
        log: &Path,
    ) -> anyhow::Result<Companion> {
        let args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().into()).collect();
        let start = || -> anyhow::Result<Companion> {
            let mut watchdog = Command::new("sh")
                .args(["-c", WATCHDOG, "watchdog"])
                .arg(log)
                .arg(program)
                .args(args)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let mut line = String::new();
            let stdout = watchdog.stdout.take().context("a pipe was asked for")?;
            BufReader::new(stdout).read_line(&mut line)?;
            let pid = line.trim().parse()?;
            Ok(Companion { pid, watchdog })
        };
        start().with_context(|| format!("cannot start {}", program.display()))
    }

    /// A copy of this program with these arguments.
    pub(super) fn of_this_program<A: AsRef<OsStr>>(
        args: impl IntoIterator<Item = A>,
        log: &Path,
    ) -> anyhow::Result<Companion> {
        let program = std::env::current_exe().context("who am I")?;
        Companion::start(&program, args, log)
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it takes connections.
    pub(super) fn wait_listening(&self, addr: SocketAddr, log: &Path) -> anyhow::Result<()> {
        wait_for("a program to listen", START, || {
            TcpStream::connect(addr).map(drop).map_err(|error| {
                let said = File::open(log).and_then(std::io::read_to_string);
                format!("{error}; it says: {}", said.unwrap_or_default().trim())
            })
        })
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        // The end of its input is what the shell waits for.
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}
