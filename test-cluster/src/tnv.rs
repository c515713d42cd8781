//! The program `tnv` as a user of a cluster.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, bail};

use crate::binaries::Binaries;
use crate::plan::{APP, Plan, Role, USER};

/// `tnv` with the trackers of one cluster.
#[derive(Debug, Clone)]
pub struct Tnv {
    program: PathBuf,
    trackers: String,
    /// The file with the key of the cluster, if it has one.
    key_file: Option<PathBuf>,
}

impl Tnv {
    /// Uses the trackers of a plan.
    pub fn new(plan: &Plan, binaries: &Binaries) -> Tnv {
        let trackers: Vec<String> = plan
            .addrs(Role::Tracker)
            .iter()
            .map(ToString::to_string)
            .collect();
        Tnv {
            program: binaries.tnv(),
            trackers: trackers.join(";"),
            key_file: Some(plan.key_file()).filter(|path| path.exists()),
        }
    }

    /// The command. It ignores the settings files of this machine.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["--trackers", &self.trackers, "--app", APP, "--user", USER])
            .args(args)
            .env("TNV_CONFIG", "/dev/null")
            .stdin(Stdio::null());
        if let Some(path) = &self.key_file {
            command.env("TNV_KEY_FILE", path);
        }
        command
    }

    /// Runs the program to its end.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn run<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
    ) -> anyhow::Result<Output> {
        let output = self.command(args).output();
        output.with_context(|| format!("cannot run {}", self.program.display()))
    }

    /// Runs the program and returns its output without the final line feed.
    ///
    /// # Errors
    /// The program failed; the message has its standard error.
    pub fn say<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
    ) -> anyhow::Result<String> {
        let output = self.run(args)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            bail!("tnv ended with {}: {}", output.status, said.trim());
        }
        let said = String::from_utf8(output.stdout).context("tnv printed bytes")?;
        Ok(said.trim_end().to_owned())
    }
}
