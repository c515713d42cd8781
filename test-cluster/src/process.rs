//! The process of a daemon: started here, or found running.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;
use test_support::process::Process;

use crate::binaries::Binaries;
use crate::plan::{Node, Plan};

/// Lines of a log that an error shows.
const LINES_SHOWN: usize = 12;

impl Plan {
    /// Starts a node so that it outlives this program and holds none of its pipes.
    ///
    /// # Errors
    /// The program or the log is missing, or the system has no process.
    pub(crate) fn spawn(&self, node: &Node, binaries: &Binaries) -> anyhow::Result<Process> {
        let log = self.err_log(node);
        let err = OpenOptions::new().create(true).append(true).open(&log);
        let err = err.with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(binaries.daemon(node.role));
        command
            .arg("--config")
            .arg(self.config(node))
            .current_dir(self.work_folder(node))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(err.try_clone()?)
            .stderr(err);
        Process::spawn(&mut command)
    }

    /// The process that runs a node, if one does.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn process(&self, node: &Node) -> anyhow::Result<Option<Process>> {
        let config = self.config(node);
        let config = config.as_os_str().as_encoded_bytes();
        let is_node = |args: &[&[u8]]| matches!(args, [_, b"--config", path] if *path == config);
        Ok(Process::find_all(is_node)?.pop())
    }

    /// The end of the logs of a node, for an error message.
    pub(crate) fn log_end(&self, node: &Node) -> String {
        log_end(&self.log(node)) + &log_end(&self.err_log(node))
    }
}

/// The end of a log.
pub(crate) fn log_end(path: &Path) -> String {
    let text = File::open(path)
        .and_then(std::io::read_to_string)
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let mut end = format!("\n--- {}", path.display());
    for line in &lines[lines.len().saturating_sub(LINES_SHOWN)..] {
        end += "\n    ";
        end += line;
    }
    end
}
