//! Programs that tests run: to their end, or as a daemon until the test kills it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};

use crate::{PATIENCE, wait_for};

/// Runs a command to its end; returns what it printed.
///
/// # Errors
/// It failed; the message has its words.
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

/// A daemon of tnv in the foreground. Its end is that of the value.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Adds to a command that it works in `folder` with the configuration `config`.
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
    /// There is no such program, or the file cannot be made.
    pub fn start(command: &mut Command, folder: &Path, config: &str) -> Daemon {
        let log = folder.join("log");
        let file = File::create(&log).expect("a log");
        let command = Daemon::configure(command, folder, config).stderr(file);
        let child = command.spawn().expect("a program");
        Daemon { child, log }
    }

    /// Waits until the log says `WHAT serving on ADDRESS`; returns the address.
    ///
    /// # Panics
    /// It does not within a minute.
    pub fn serving(&self, what: &str) -> SocketAddr {
        let words = format!("{what} serving on ");
        let look = || {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            let addr = text.lines().find_map(|line| line.split(&words).nth(1));
            addr.and_then(|addr| addr.trim().parse().ok()).ok_or(text)
        };
        wait_for(&words, PATIENCE, look).expect("a server")
    }

    /// As by the system when memory is short, or by a power cut of its host.
    pub fn kill(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
