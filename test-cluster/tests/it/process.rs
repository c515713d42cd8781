//! Daemons in the background, as an init script starts them.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Signal, geteuid};
use test_cluster::{Layout, Node, Plan, Role, probe};
use test_support::process::Process;

use crate::support::{Background, PATIENCE, binaries};

/// A user of every system, and its number.
const NOBODY: (&str, u32) = ("nobody", 65534);

/// A tracker in the background.
struct Tracker {
    daemons: Background,
    node: Node,
}

impl Tracker {
    fn new(process: &str) -> Tracker {
        let daemons = Background::new(&Layout::small(1));
        let node = daemons.plan.of(Role::Tracker).next().unwrap().clone();
        daemons.configure(&node, process);
        Tracker { daemons, node }
    }

    fn plan(&self) -> &Plan {
        &self.daemons.plan
    }

    fn config(&self) -> PathBuf {
        self.plan().config(&self.node)
    }

    fn pid_file(&self) -> PathBuf {
        self.daemons.pid_file(&self.node)
    }

    fn pid(&self) -> Option<u32> {
        fs::read_to_string(self.pid_file())
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    fn start_well(&self) -> Process {
        let output = self.daemons.start(&self.node);
        assert!(output.status.success(), "{output:?}");
        assert_eq!((output.stdout.len(), output.stderr.len()), (0, 0));
        // The start returns only when the tracker is ready.
        probe::ready(self.plan(), &self.node).unwrap();
        let process = self.process().unwrap();
        assert_eq!(self.pid(), Some(process.pid()));
        process
    }

    fn process(&self) -> Option<Process> {
        self.daemons.process(&self.node)
    }

    /// Starts the tracker, which must fail with this code and these words.
    fn fail(&self, code: i32, words: &str) {
        let output = self.daemons.start(&self.node);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{said}");
        assert!(said.starts_with("tnv-tracker: "), "{said}");
    }
}

fn end(mut process: Process, signal: Signal) {
    process.signal(signal).unwrap();
    assert!(process.wait(PATIENCE).unwrap().is_some(), "it lives");
}

#[test]
fn the_start_returns_when_it_serves_and_a_second_start_is_refused() {
    let tracker = Tracker::new("");
    let process = tracker.start_well();
    tracker.fail(3, &format!("runs already as process {}", process.pid()));
    probe::ready(tracker.plan(), &tracker.node).unwrap();
    end(process, Signal::TERM);
    assert!(!tracker.pid_file().exists());
}

#[test]
fn the_pid_file_of_a_killed_daemon_does_not_prevent_the_next_start() {
    let tracker = Tracker::new("");
    let process = tracker.start_well();
    let pid = process.pid();
    end(process, Signal::KILL);
    assert_eq!(tracker.pid(), Some(pid));
    end(tracker.start_well(), Signal::TERM);
}

#[test]
fn a_failed_start_tells_the_reason() {
    let tracker = Tracker::new("");
    let taken = TcpListener::bind(tracker.node.addr).unwrap();
    tracker.fail(1, &format!("cannot listen on {}", tracker.node.addr));
    assert!(!tracker.pid_file().exists());
    drop(taken);
    let good = fs::read_to_string(tracker.config()).unwrap();
    let with = |text: String| fs::write(tracker.config(), text).unwrap();
    with(good.replace("file = \"log/tracker-1.log\"\n", ""));
    tracker.fail(2, "log.file");
    with(good.clone() + "user = \"no-such-user\"\n");
    tracker.fail(2, "no-such-user");
    with(good + "usr = \"nobody\"\n");
    tracker.fail(2, "usr");
    assert!(tracker.process().is_none());
}

#[test]
fn a_port_in_use_ends_the_start_before_anything_is_created() {
    let daemons = Background::new(&Layout::small(1));
    let plan = &daemons.plan;
    for role in [Role::Tracker, Role::Idserver, Role::Storage, Role::Httpd] {
        let node = plan.of(role).next().unwrap();
        for (addr, which) in [(node.addr, ""), (node.status, ", the status port")] {
            let before = files_below(&plan.folder);
            let taken = TcpListener::bind(addr).unwrap();
            let output = daemons.start(node);
            drop(taken);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{said}");
            let expected = format!("cannot listen on {addr}{which}: Address already in use");
            assert!(said.contains(&expected), "{said}");
            assert_eq!(files_below(&plan.folder), before, "{role:?}{which}");
        }
    }
}

/// All files and folders below a folder, except logs.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("log") {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn root_becomes_the_configured_user() {
    let tracker = Tracker::new("user = \"nobody\"\n");
    if !geteuid().is_root() {
        tracker.fail(1, "only root can");
        return;
    }
    let (user, uid) = NOBODY;
    for part in ["log", "db"] {
        let part = tracker.plan().folder.join(part);
        chown(&part, Some(uid), None).unwrap();
    }
    let process = tracker.start_well();
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
        tracker.plan().log(&tracker.node),
        tracker.plan().access_log(&tracker.node),
        tracker.plan().database(Role::Tracker),
    ];
    for path in made {
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.uid(), uid, "{}", path.display());
        assert_eq!(metadata.mode() & 0o027, 0, "{}", path.display());
    }
    end(process, Signal::TERM);
    // The folder belongs to root, so the file was emptied, not removed.
    assert_eq!(tracker.pid(), None);
    end(tracker.start_well(), Signal::KILL);
}

#[test]
fn systemd_is_told_the_time_of_a_stop() {
    let tracker = Tracker::new("");
    let socket = tracker.plan().folder.join("notify");
    let systemd = UnixDatagram::bind(&socket).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut bytes = [0; 256];
        let len = systemd.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    };
    let mut child = Command::new(binaries().daemon(Role::Tracker))
        .arg("--config")
        .arg(tracker.config())
        .env("NOTIFY_SOCKET", &socket)
        .spawn()
        .unwrap();
    assert_eq!(told(), "READY=1");
    let config = fs::read_to_string(tracker.config()).unwrap();
    let patient = config.replace("[server]", "[server]\nstop_timeout = \"200s\"");
    fs::write(tracker.config(), patient).unwrap();
    let process = tracker.process().unwrap();
    process.signal(Signal::HUP).unwrap();
    assert!(told().starts_with("RELOADING=1\n"));
    assert_eq!(told(), "READY=1");
    process.signal(Signal::TERM).unwrap();
    assert_eq!(told(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=225000000");
    assert!(child.wait().unwrap().success());
}

/// `CAP_NET_BIND_SERVICE` (capabilities(7)).
const BIND: u64 = 1 << 10;

/// The status file of each thread of a process.
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
