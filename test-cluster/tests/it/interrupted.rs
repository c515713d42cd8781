//! An interrupted benchmark leaves no process, mount or folder, an interrupted start of a cluster no process.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use tempfile::TempDir;
use test_support::process::{Exit, Process};
use test_support::until;

use crate::support::{PATIENCE, binaries};

/// Arguments of a benchmark that starts clusters at once.
const SMALL: [&str; 1] = ["--only=saddrs"];
/// Processes of a cluster that runs.
const DAEMONS: [&str; 2] = ["tracker-1.toml", "httpd-1.toml"];

/// A benchmark whose daemons run.
struct RunningBench {
    folder: TempDir,
    process: Process,
}

impl RunningBench {
    /// Starts a benchmark with these programs and more arguments, and waits until processes run that have
    /// `awaited` among their arguments.
    fn start(programs: Option<&Path>, args: &[&str], awaited: &[&str]) -> RunningBench {
        binaries();
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tnv-cluster"));
        command
            .arg("--folder")
            .arg(folder.path())
            .args(["bench", "--quick"])
            .args(args)
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if let Some(programs) = programs {
            command.env("PATH", programs);
        }
        let process = Process::spawn(&mut command).unwrap();
        let bench = RunningBench { folder, process };
        until("the processes to run", || {
            let found = bench.processes();
            awaited
                .iter()
                .all(|word| found.iter().any(|args| args.contains(word)))
        });
        bench
    }

    fn processes(&self) -> Vec<String> {
        processes(self.folder.path())
    }

    fn left(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    fn mounts(&self) -> bool {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        mounts.contains(self.folder.path().to_str().unwrap())
    }

    /// Sends a signal, after which nothing may be left.
    fn end_with(mut self, signal: Signal) {
        self.process.signal(signal).unwrap();
        let exit = self.process.wait(PATIENCE).unwrap();
        assert_eq!(exit, Some(Exit::Signal(signal.as_raw())));
        until("the processes to end", || self.processes().is_empty());
        until("the folders to be removed", || self.left().is_empty());
        assert!(!self.mounts());
    }
}

/// The arguments of the processes that name a path in the folder.
fn processes(folder: &Path) -> Vec<String> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    let inside = format!("{}/", folder.to_str().unwrap());
    lines.filter(|line| line.contains(&inside)).collect()
}

#[test]
fn an_interrupted_benchmark_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        RunningBench::start(None, &SMALL, &DAEMONS).end_with(signal);
    }
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out GlusterFS"
)]
fn an_interrupted_benchmark_of_glusterfs_leaves_nothing() {
    let args = ["--engine=full", "--only=GlusterFS"];
    let mount = ["--volfile-server", "httpd-1.toml"];
    for signal in [Signal::TERM, Signal::KILL] {
        RunningBench::start(None, &args, &mount).end_with(signal);
    }
}

/// Without `unshare`, as where this program may not create namespaces.
#[test]
fn an_interrupted_benchmark_without_namespaces_leaves_nothing() {
    let programs = tempfile::tempdir().unwrap();
    for name in ["sh", "rm", "sed", "cut"] {
        symlink(Path::new("/bin").join(name), programs.path().join(name)).unwrap();
    }
    for signal in [Signal::TERM, Signal::KILL] {
        RunningBench::start(Some(programs.path()), &SMALL, &DAEMONS).end_with(signal);
    }
}

#[test]
fn an_interrupted_start_of_a_cluster_is_undone() {
    binaries();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path();
    fs::create_dir(path.join("log")).unwrap();
    // The start waits for a reader of this log.
    let log = path.join("log/storage-1-1.err");
    mknodat(CWD, &log, FileType::Fifo, Mode::RWXU, 0).unwrap();
    for (subcommand, signal) in [
        ("up", Signal::INT),
        ("up", Signal::KILL),
        ("demo", Signal::HUP),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tnv-cluster"));
        command.arg("--folder").arg(path).arg(subcommand);
        let mut process = Process::spawn(command.stdout(Stdio::null())).unwrap();
        until("the idserver to run", || {
            processes(path)
                .iter()
                .any(|args| args.contains("idserver-2.toml"))
        });
        process.signal(signal).unwrap();
        assert!(process.wait(PATIENCE).unwrap().is_some());
        until("the processes to end", || processes(path).is_empty());
    }
}
