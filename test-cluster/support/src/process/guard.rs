//! Ends what this program has started, in whatever way the program itself ends.

use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Reads `process PID START` and `folder PATH` until the end of the input, which comes when this
/// program ends. Then it kills the groups of the processes and, after that, removes the folders. The start time
/// tells a process from a later one with the same number. A killed process may create a file before it ends, so a
/// folder that is not empty at the end of its removal is removed again.
const SCRIPT: &str = r#"
while read -r line; do set -- "$@" "$line"; done
for line; do
    what=${line#* }
    case $line in
    process*)
        start=$(sed 's/.*) //' "/proc/${what% *}/stat" | cut -d ' ' -f 20)
        [ "$start" = "${what#* }" ] && kill -KILL "-${what% *}"
        ;;
    esac
done
for line; do
    what=${line#* }
    case $line in
    folder*) rm -rf "$what" || rm -rf "$what" || rm -rf "$what" ;;
    esac
done
"#;

/// The input of the shell that outlives this program for a moment.
struct Guard(ChildStdin);

impl Guard {
    fn start() -> io::Result<Guard> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "guard"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A signal to the group of this program does not end the shell.
            .process_group(0)
            .spawn()?;
        let input = shell.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Guard(input))
    }

    fn add_process(&mut self, pid: u32) -> io::Result<()> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // Field 22. The name in field 2 may have spaces and parentheses.
        let after_name = stat.rsplit(") ").next().unwrap_or_default();
        let start = after_name.split(' ').nth(19).unwrap_or_default();
        writeln!(self.0, "process {pid} {start}")
    }

    fn add_folder(&mut self, folder: &Path) -> io::Result<()> {
        writeln!(self.0, "folder {}", folder.display())
    }
}

/// Lets the group of a child end with this program. The child must lead its group.
///
/// # Errors
/// The child is gone, or the shell of the guard cannot be started.
pub(super) fn guard_process(pid: u32) -> io::Result<()> {
    with_guard(|guard| guard.add_process(pid))
}

/// Removes a folder when this program ends, also when it is killed.
///
/// # Errors
/// The shell of the guard cannot be started.
pub fn guard_folder(folder: &Path) -> io::Result<()> {
    with_guard(|guard| guard.add_folder(folder))
}

fn with_guard(act: impl FnOnce(&mut Guard) -> io::Result<()>) -> io::Result<()> {
    static GUARD: OnceLock<Mutex<Option<Guard>>> = OnceLock::new();
    let guard = GUARD.get_or_init(Mutex::default);
    let mut guard = guard.lock().unwrap_or_else(PoisonError::into_inner);
    let started = match guard.take() {
        Some(started) => started,
        None => Guard::start()?,
    };
    act(guard.insert(started))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Child;

    use super::*;
    use crate::until;

    fn waiting_child() -> Child {
        let mut command = Command::new("sh");
        let command = command.args(["-c", "read -r line"]).stdin(Stdio::piped());
        command.process_group(0).spawn().unwrap()
    }

    #[test]
    fn processes_and_folders_end_with_the_input() {
        let (mut guarded, mut other) = (waiting_child(), waiting_child());
        let folder = std::env::temp_dir().join(format!("guarded {}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let mut guard = Guard::start().unwrap();
        guard.add_folder(&folder).unwrap();
        guard.add_process(guarded.id()).unwrap();
        // As if another process had got the number.
        writeln!(guard.0, "process {} 1", other.id()).unwrap();
        drop(guard);
        // A wait would close the input first, and then the child ends by itself.
        let _open = guarded.stdin.take();
        assert_eq!(guarded.wait().unwrap().signal(), Some(9));
        until("the folder to be gone", || !folder.exists());
        drop(other.stdin.take());
        assert_eq!(other.wait().unwrap().signal(), None);
    }
}
