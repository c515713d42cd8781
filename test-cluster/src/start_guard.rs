//! Stops a cluster whose start is interrupted.
//!
//! A process of this program waits for the end of the start, in a process group of its own, so that no signal of the
//! terminal reaches it. It learns the end from its standard input: a closed input without a word is an interruption.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context;

use crate::persistent;
use crate::terminal::tell;

/// The word for a start that came to its end.
const ENDED: &[u8] = b"ended";
/// The hidden subcommand of `tnv-cluster`.
const SUBCOMMAND: &str = "guard-start";

/// The process that waits. If this program ends before [`StartGuard::release`], that process stops the cluster.
pub(crate) struct StartGuard(Child);

impl StartGuard {
    pub(crate) fn start(folder: &Path) -> anyhow::Result<StartGuard> {
        let program = std::env::current_exe().context("the path of this program")?;
        let child = Command::new(program)
            .arg("--folder")
            .arg(folder)
            .arg(SUBCOMMAND)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn();
        child
            .map(StartGuard)
            .context("cannot guard the start of the cluster")
    }

    /// Tells the process that the start has ended, and waits for its end.
    pub(crate) fn release(mut self) -> anyhow::Result<()> {
        if let Some(mut input) = self.0.stdin.take() {
            input.write_all(ENDED)?;
        }
        self.0.wait()?;
        Ok(())
    }
}

/// Waits for the end of a start. Stops the cluster in `folder` if the start was interrupted.
///
/// # Errors
/// The cluster does not stop.
pub fn guard_start(folder: &Path) -> anyhow::Result<()> {
    let mut told = Vec::new();
    io::stdin().read_to_end(&mut told)?;
    if told == ENDED {
        return Ok(());
    }
    tell("the start was interrupted");
    persistent::stop(folder)
}
