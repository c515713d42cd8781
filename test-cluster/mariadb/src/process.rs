//! Server processes that do not outlive the test: each is the child of a shell that waits for the
//! end of its standard input, which comes when this process ends, in whatever way.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A line on the input keeps the folder; none means that nobody needs it any more. The group has
/// the programs in it that the server has started.
const WATCHDOG: &str = r#"
folder=$1; shift
"$@" </dev/null & server=$!
echo $server >"$folder/pid.new" && mv "$folder/pid.new" "$folder/server.pid"
trap '' HUP INT TERM
read -r keep
kill -9 $server 2>/dev/null
wait $server 2>/dev/null
[ "$keep" ] || rm -rf "$folder"
kill -9 0
"#;

/// A server and the shell above it.
#[derive(Debug)]
pub(crate) struct Process {
    watchdog: Child,
    input: Option<ChildStdin>,
}

impl Process {
    /// Runs `program` in `folder`, with what it says in `folder/log`.
    pub(crate) fn start(folder: &Path, program: &str, args: &[OsString]) -> Process {
        let pid_file = folder.join("server.pid");
        drop(fs::remove_file(&pid_file));
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder.join("log"))
            .expect("a log file");
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(folder)
            .arg(program)
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("another handle of the log"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("a shell");
        let input = watchdog.stdin.take();
        Process { watchdog, input }
    }

    /// Whether the shell runs; it does as long as nobody ends it.
    pub(crate) fn server_is_alive(&self, folder: &Path) -> bool {
        match server_pid(folder) {
            Some(pid) => {
                let state = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
                // Field 3, behind the name in parentheses: Z is a dead process.
                state.is_ok_and(|text| {
                    let after = text.rsplit(") ").next().unwrap_or_default();
                    !after.starts_with('Z') && !after.starts_with('X')
                })
            }
            None => true,
        }
    }

    pub(crate) fn signal(&self, folder: &Path, signal: Signal) {
        if let Some(pid) = server_pid(folder) {
            // It may be gone already.
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills what is left of it and waits for the end.
    pub(crate) fn end(mut self, keep_folder: bool) {
        if let Some(mut input) = self.input.take()
            && keep_folder
        {
            drop(input.write_all(b"keep\n"));
        }
        drop(self.watchdog.wait());
    }
}

/// The process, once the shell has said which it is.
pub(crate) fn server_pid(folder: &Path) -> Option<Pid> {
    let text = fs::read_to_string(folder.join("server.pid")).ok()?;
    Pid::from_raw(text.trim().parse().ok()?)
}

/// Ports that nobody listens on at this moment, all different.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|l| l.local_addr().expect("its address").port())
}

/// Fails with the names of the packages when a program is missing.
pub(crate) fn require(programs: &[&str]) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    for program in programs {
        let is_there = Path::new(program).is_file()
            || folders.iter().any(|folder| folder.join(program).is_file());
        assert!(
            is_there,
            "{program} is missing: install the Debian packages mariadb-server, galera-4 and \
             rsync, or set TNV_TEST_ENGINES=embedded to leave these tests out"
        );
    }
}
