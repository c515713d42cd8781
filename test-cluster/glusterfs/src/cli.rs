//! The command line `gluster`.

use std::process::Command;

use anyhow::{Context, ensure};

use crate::host::{Host, socket};

impl Host {
    /// Runs a command of `gluster`; tells what it printed.
    ///
    /// # Errors
    /// It failed; the message has its words.
    pub(crate) fn gluster(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut command = self.in_network("gluster");
        command
            .arg("--mode=script")
            .arg(format!(
                "--log-file={}",
                self.folder.join("log/cli.log").display()
            ))
            .arg(format!(
                "--glusterd-sock={}",
                socket(&self.folder).display()
            ))
            .args(args);
        run(&mut command).with_context(|| format!("gluster {}", args.join(" ")))
    }
}

/// Runs a command to its end; tells what it printed.
///
/// # Errors
/// It failed; the message has its words.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<String> {
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
