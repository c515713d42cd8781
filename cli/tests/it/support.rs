//! The program `tnv`, and what most tests of it begin with.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use test_peers::storage::FakeStorage;
use test_peers::support::cluster;
use test_peers::tracker::FakeTracker;

/// Longest delay that a loaded machine adds to a time-out.
pub(crate) const SLACK: Duration = Duration::from_secs(5);

/// `tnv` in an empty directory, with no settings but these.
pub(crate) fn tnv(dir: &Path, trackers: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tnv"));
    command
        .current_dir(dir)
        .env_clear()
        .env("HOME", dir)
        .env("TNV_TRACKERS", trackers)
        .env("TNV_USER", "alice")
        .stdin(Stdio::null())
        .args(args);
    command
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

pub(crate) struct Setup {
    pub(crate) dir: TempDir,
    pub(crate) tracker: FakeTracker,
}

impl Setup {
    pub(crate) fn new(storages: &[&FakeStorage]) -> Setup {
        Setup {
            dir: TempDir::new().unwrap(),
            tracker: cluster(storages).0,
        }
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        tnv(self.dir.path(), self.tracker.fake.address.as_str(), args)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.dir.path().join(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.dir.path().join(name)).ok()
    }
}
