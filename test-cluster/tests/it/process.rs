//! Daemons that start themselves in the background, as an init script has it.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::{Signal, geteuid};
use tempfile::TempDir;
use test_cluster::{Layout, Node, Plan, Process, Role, probe};

use crate::support::{PATIENCE, binaries};

/// The user that every system has, and its number.
const NOBODY: (&str, u32) = ("nobody", 65534);

/// A tracker on paper; what runs of it is killed at the end.
struct Background {
    plan: Plan,
    tracker: Node,
    folder: TempDir,
}

impl Background {
    /// Below the folder for temporary files: any user can get there, and is let in here.
    fn new(process: &str) -> Background {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let plan = Plan::make(&Layout::small(1), folder.path()).unwrap();
        let tracker = plan.of(Role::Tracker).next().unwrap().clone();
        let background = Background {
            plan,
            tracker,
            folder,
        };
        let (pid_file, folder) = (background.pid_file(), &background.plan.folder);
        background.configure(&format!(
            "\n[process]\nworking_directory = {folder:?}\npid_file = {pid_file:?}\n{process}"
        ));
        background
    }

    fn configure(&self, text: &str) {
        let mut config = OpenOptions::new();
        let mut config = config.append(true).open(self.config()).unwrap();
        config.write_all(text.as_bytes()).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.plan.config(&self.tracker)
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.path().join("tracker.pid")
    }

    fn pid(&self) -> Option<u32> {
        fs::read_to_string(self.pid_file())
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// `--daemon`, to the end of the process in the foreground. Its standard error is a pipe, which
    /// a process in the background must not keep open.
    fn start(&self) -> Output {
        Command::new(binaries().daemon(Role::Tracker))
            .arg("--config")
            .arg(self.config())
            .arg("--daemon")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn start_well(&self) -> Process {
        let output = self.start();
        assert!(output.status.success(), "{output:?}");
        assert_eq!((output.stdout.len(), output.stderr.len()), (0, 0));
        // At once: that is what the start promises.
        probe::ready(&self.plan, &self.tracker).unwrap();
        let process = self.process().unwrap();
        assert_eq!(self.pid(), Some(process.pid()));
        process
    }

    fn process(&self) -> Option<Process> {
        Process::find(&self.plan, &self.tracker).unwrap()
    }

    /// Starts it, expecting that it fails with this code and says these words.
    fn fail(&self, code: i32, words: &str) {
        let output = self.start();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{said}");
        assert!(said.starts_with("tnv-tracker: "), "{said}");
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(process) = self.process() {
            let _ = process.signal(Signal::KILL);
        }
    }
}

fn end(mut process: Process, signal: Signal) {
    process.signal(signal).unwrap();
    assert!(process.wait(PATIENCE).unwrap().is_some(), "it lives");
}

#[test]
fn the_start_ends_when_it_serves_and_a_second_one_says_that_it_runs() {
    let background = Background::new("");
    let process = background.start_well();
    background.fail(3, &format!("runs already as process {}", process.pid()));
    probe::ready(&background.plan, &background.tracker).unwrap();
    end(process, Signal::TERM);
    assert!(!background.pid_file().exists());
}

#[test]
fn the_pid_file_of_a_killed_one_does_not_hinder_the_next() {
    let background = Background::new("");
    let process = background.start_well();
    let pid = process.pid();
    end(process, Signal::KILL);
    assert_eq!(background.pid(), Some(pid));
    end(background.start_well(), Signal::TERM);
}

#[test]
fn a_start_that_fails_says_why() {
    let background = Background::new("");
    let taken = TcpListener::bind(background.tracker.addr).unwrap();
    background.fail(1, &format!("cannot listen on {}", background.tracker.addr));
    assert!(!background.pid_file().exists());
    drop(taken);
    let good = fs::read_to_string(background.config()).unwrap();
    let with = |text: String| fs::write(background.config(), text).unwrap();
    with(good.replace("file = \"log/tracker-1.log\"\n", ""));
    background.fail(2, "log.file");
    with(good.clone() + "user = \"no-such-user\"\n");
    background.fail(2, "no-such-user");
    with(good + "usr = \"nobody\"\n");
    background.fail(2, "usr");
    assert!(background.process().is_none());
}

#[test]
fn root_becomes_the_configured_user() {
    let background = Background::new("user = \"nobody\"\n");
    if !geteuid().is_root() {
        background.fail(1, "only root can");
        return;
    }
    let (user, uid) = NOBODY;
    for part in ["log", "db"] {
        let part = background.plan.folder.join(part);
        chown(&part, Some(uid), None).unwrap();
    }
    let process = background.start_well();
    for thread in threads(process.pid()) {
        let ids = field(&thread, "Uid:");
        assert_eq!(ids, vec![uid.to_string(); 4].join("\t"), "{user}: {thread}");
        assert_eq!(
            u64::from_str_radix(field(&thread, "CapPrm:"), 16).unwrap() & !BIND,
            0
        );
        assert_ne!(field(&thread, "Gid:").split('\t').next(), Some("0"));
        assert!(
            !field(&thread, "Groups:")
                .split(' ')
                .any(|group| group == "0")
        );
    }
    let made = [
        background.plan.log(&background.tracker),
        background.plan.access_log(&background.tracker),
        background.plan.database(Role::Tracker),
    ];
    for path in made {
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.uid(), uid, "{}", path.display());
        assert_eq!(metadata.mode() & 0o027, 0, "{}", path.display());
    }
    end(process, Signal::TERM);
    // The folder is root's: it could be emptied only.
    assert_eq!(background.pid(), None);
    end(background.start_well(), Signal::KILL);
}

/// `CAP_NET_BIND_SERVICE` (capabilities(7)).
const BIND: u64 = 1 << 10;

/// What the system says of each thread of a process.
fn threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task")).unwrap();
    let status = |entry: std::io::Result<fs::DirEntry>| {
        fs::read_to_string(entry.unwrap().path().join("status")).unwrap()
    };
    let threads: Vec<String> = tasks.map(status).collect();
    assert!(threads.len() > 1, "{threads:?}");
    threads
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    value.unwrap().trim()
}
