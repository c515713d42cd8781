//! The programs of `make cluster` and `make demo`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use test_cluster::Plan;
use test_cluster::tnv::Tnv;

use crate::support::{binaries, wait_for};

pub const MEDIA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/media");

/// A cluster that outlives the programs that start it. Dropping it stops it.
pub struct RunningCluster {
    folder: TempDir,
    /// The first port to try.
    port: String,
}

impl RunningCluster {
    /// Cluster `idx` has its own range of ports, above that of the clusters in this process, because its
    /// programs do not know which ports other programs have chosen and not yet bound.
    pub fn new(idx: u16) -> RunningCluster {
        binaries();
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let port = 19_300 + (std::process::id() % 8) as u16 * 300 + idx * 100;
        RunningCluster {
            folder,
            port: port.to_string(),
        }
    }

    pub fn folder(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    pub fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tnv-cluster"));
        for role in ["TRACKER", "IDSERVER", "STORAGE", "HTTPD", "DATABASE"] {
            command.env(format!("TNV_{role}_PORT"), &self.port);
        }
        command.arg("--folder").arg(self.folder.path());
        command.args(args).output().unwrap()
    }

    /// Runs a command that must succeed; returns its output.
    pub fn succeed(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Uploads a file with `tnv` as soon as the cluster accepts it.
    pub fn upload(&self, path: &Path) {
        let plan = Plan::load(self.folder.path()).unwrap().unwrap();
        let tnv = Tnv::new(&plan, &binaries());
        wait_for("an upload", || {
            let said = tnv.say(["upload".as_ref(), path.as_os_str()]);
            said.map_err(|e| format!("{e:#}"))
        });
    }

    pub fn manifest(&self) -> Value {
        serde_json::from_slice(&fs::read(self.manifest_path()).unwrap()).unwrap()
    }

    pub fn manifest_path(&self) -> PathBuf {
        self.folder.path().join("cluster.json")
    }
}

impl Drop for RunningCluster {
    fn drop(&mut self) {
        let output = self.run(&["stop"]);
        if !std::thread::panicking() {
            assert!(output.status.success(), "{output:?}");
        }
    }
}

#[test]
fn a_cluster_runs_until_it_is_stopped() {
    let cluster = RunningCluster::new(0);
    assert!(cluster.succeed(&["stop"]).contains("no cluster"));
    cluster.succeed(&["up"]);
    check_manifest(&cluster.manifest());
    assert!(cluster.succeed(&["up"]).contains("already"));
    assert_eq!(cluster.succeed(&["status"]).lines().count(), 10);

    let before = cluster.manifest();
    let killed = &before["storages"][1]["pid"];
    let pid = Pid::from_raw(killed.as_i64().unwrap().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    wait_for("the status to tell", || {
        let output = cluster.run(&["status"]);
        let text = String::from_utf8(output.stdout).unwrap();
        if output.status.success() || !text.contains("down") {
            return Err(text);
        }
        Ok(())
    });
    assert!(cluster.succeed(&["up"]).contains("storage-1-2"));
    cluster.succeed(&["status"]);
    let after = cluster.manifest();
    assert_ne!(&after["storages"][1]["pid"], killed);
    assert_eq!(after["pids"], before["pids"]);

    assert!(cluster.succeed(&["stop"]).contains("10 daemons"));
    assert!(!cluster.manifest_path().exists());
    assert!(!cluster.run(&["status"]).status.success());
}

fn check_manifest(manifest: &Value) {
    assert_eq!(
        (&manifest["app"], &manifest["user"]),
        (&"tnvideo".into(), &"tnv001".into())
    );
    let len = |key: &str| manifest[key].as_array().unwrap().len();
    let lens = ["trackers", "idservers", "storages", "httpds"].map(len);
    assert_eq!(lens, [2, 2, 4, 2]);
    assert_eq!(manifest["database"]["engine"], "sqlite");
    for storage in manifest["storages"].as_array().unwrap() {
        let store_path = Path::new(storage["store_path"].as_str().unwrap());
        assert!(store_path.is_absolute() && store_path.is_dir());
    }
    for role in ["tracker", "idserver", "httpd"] {
        assert_eq!(manifest["pids"][role].as_array().unwrap().len(), 2);
    }
}

#[test]
fn the_demo_shows_the_main_job() {
    let cluster = RunningCluster::new(1);
    let text = cluster.succeed(&["demo", "--media", MEDIA]);
    assert!(text.contains("/demo.mp4\n"), "{text}");
}
