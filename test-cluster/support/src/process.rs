//! Programs that tests run: to their end, or until the test or its program ends.

mod guard;
mod handle;

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};

pub use guard::guard_folder;
pub use handle::{Exit, OwnedProcess, Process};

use crate::{PATIENCE, wait_for};

/// Runs a command to its end and returns its output.
///
/// # Errors
/// The command failed; the message has its output.
pub fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {:?}", command.get_program()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{}: {} {}",
        output.status,
        text.trim(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(text)
}

/// A daemon of tnv in the foreground. Dropping it kills the daemon.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Adds the folder and the configuration to a command.
    pub fn configure<'a>(command: &'a mut Command, folder: &Path, config: &str) -> &'a mut Command {
        command
            .args(["--config", config])
            .current_dir(folder)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
    }

    /// Starts a daemon in `folder` with the configuration `config`. Its standard error goes to a new
    /// file `log` there.
    ///
    /// # Panics
    /// The program or the file is missing.
    pub fn start(command: &mut Command, folder: &Path, config: &str) -> Daemon {
        let log = folder.join("log");
        let file = File::create(&log).expect("a log");
        let command = Daemon::configure(command, folder, config).stderr(file);
        let child = command.spawn().expect("a program");
        Daemon { child, log }
    }

    /// Waits for the line `WHAT serving on ADDRESS` of the log; returns the address.
    ///
    /// # Panics
    /// No such line within a minute.
    pub fn serving(&self, what: &str) -> SocketAddr {
        let words = format!("{what} serving on ");
        let look = || {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            let addr = text.lines().find_map(|line| line.split(&words).nth(1));
            addr.and_then(|addr| addr.trim().parse().ok()).ok_or(text)
        };
        wait_for(&words, PATIENCE, look).expect("a server")
    }

    /// Kills the daemon, like a power cut of its host.
    pub fn kill(&mut self) {
        // The daemon may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
