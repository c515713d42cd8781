//! The command line `gluster`.

use anyhow::Context;
use test_support::process::run;

use crate::host::{Host, socket};

impl Host {
    /// Runs a command of `gluster` and returns its output.
    ///
    /// # Errors
    /// The command failed; the message has its output.
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
