//! Ends the daemons of a program that was killed before it could end them.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Kills the processes of the input at its end, which comes when this program ends in whatever way.
/// A number may belong to another process by then, so the command line is compared.
const SCRIPT: &str = r#"
while read -r pid; do pids="$pids $pid"; done
for pid in $pids; do
    tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF -- "--config $1/" && kill -KILL "$pid"
done
"#;

/// A shell that outlives this program for a moment. Dropping it ends it without a kill.
#[derive(Debug)]
pub(crate) struct Guard {
    shell: Child,
    input: ChildStdin,
}

impl Guard {
    /// `folder` has the configurations of the daemons.
    ///
    /// # Errors
    /// No process is to be had.
    pub(crate) fn start(folder: &Path) -> io::Result<Guard> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "guard"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A signal to the group of this program leaves it to its work.
            .process_group(0)
            .spawn()?;
        let input = shell.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Guard { shell, input })
    }

    /// Adds a process whose command line has `--config` and a file of the folder.
    ///
    /// # Errors
    /// The shell is gone.
    pub(crate) fn add(&mut self, pid: u32) -> io::Result<()> {
        writeln!(self.input, "{pid}")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn daemon(folder: &str) -> Child {
        let config = format!("{folder}/a.toml");
        Command::new("sh")
            .args(["-c", "read -r line", "daemon", "--config", &config])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap()
    }

    #[test]
    fn daemons_of_its_folder_end_with_the_input() {
        let (mut own, mut other) = (daemon("/guarded"), daemon("/other"));
        let mut guard = Guard::start(Path::new("/guarded")).unwrap();
        for pid in [own.id(), other.id()] {
            guard.add(pid).unwrap();
        }
        // As when this program is killed.
        drop(std::mem::replace(
            &mut guard.input,
            other.stdin.take().unwrap(),
        ));
        guard.shell.wait().unwrap();
        assert_eq!(own.wait().unwrap().signal(), Some(9));
        // This ends the input of the other one, which was left alone.
        drop(guard);
        assert_eq!(other.wait().unwrap().signal(), None);
    }
}
