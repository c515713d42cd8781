//! The cluster of `make cluster ENGINE=full`, on Galera and GlusterFS.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use test_cluster::{DATABASE_USER, Plan, Role};
use test_glusterfs::{Gluster, mounted};
use test_support::http::get;

use crate::load::Load;
use crate::persistent::{MEDIA, RunningCluster};
use crate::support::{MIB, PATIENCE, stored_in, wait_for};

const UP: [&str; 3] = ["up", "--engine", "full"];
const DEMO: [&str; 5] = ["demo", "--engine", "full", "--media", MEDIA];
const GROUPS: [&str; 2] = ["group001", "group002"];

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_cluster_on_galera_and_glusterfs_loses_nothing() {
    let cluster = Full(RunningCluster::new(2));
    let said = cluster.0.succeed(&DEMO);
    let video = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("http://"));
    let path = video.and_then(|url| url.split_once('/')).unwrap().1;
    assert!(cluster.0.succeed(&UP).contains("already"));
    let other = cluster.0.run(&["up"]);
    assert!(String::from_utf8_lossy(&other.stderr).contains("another engine"));

    cluster.works_without_one_of_each();
    let (rows, files) = (cluster.n_rows(), cluster.n_files());
    let load = Load::new(cluster.plan().addrs(Role::Tracker));
    load.run(|load| cluster.fail_under(load));
    cluster.wait_for_heal();
    let (stored, refused) = load.check();
    assert_eq!(cluster.n_rows() - rows, stored, "a row for each file");
    // A file stays if the outcome of its row is unknown.
    let more = cluster.n_files() - files;
    assert!(
        (stored..=stored + refused).contains(&more),
        "{more} files, {stored} stored"
    );

    assert!(cluster.0.succeed(&["stop"]).contains("10 daemons"));
    cluster.assert_is_gone();
    cluster.0.succeed(&UP);
    let httpd = cluster.plan().addrs(Role::Httpd)[0];
    let url = format!("http://{httpd}/{path}");
    let page = get(&url, None, PATIENCE).unwrap();
    assert_eq!(page.status, 200, "{url}");
    cluster.0.succeed(&["stop"]);
    cluster.assert_is_gone();
}

struct Full(RunningCluster);

impl Full {
    fn plan(&self) -> Plan {
        Plan::load(&self.0.folder()).unwrap().unwrap()
    }

    fn kill(&self, part: &str) {
        let pid = self.0.manifest()["engines"][part].as_i64().unwrap();
        let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }

    /// Starts the missing parts, which must be these.
    fn repair(&self, parts: &[&str]) {
        let said = self.0.succeed(&UP);
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        self.0.succeed(&["status"]);
    }

    /// Uploads and downloads with a dead node of the database and a dead brick of each group, and later.
    fn works_without_one_of_each(&self) {
        let parts = ["galera-1", "brick-group001-1", "brick-group002-2"];
        parts.iter().for_each(|part| self.kill(part));
        wait_for("the status to tell", || {
            let output = self.0.run(&["status"]);
            let text = String::from_utf8(output.stdout).unwrap();
            let n_down = text.lines().filter(|line| line.ends_with(" down")).count();
            if n_down == parts.len() {
                Ok(())
            } else {
                Err(text)
            }
        });
        // Not the demo, which starts missing parts.
        let file = self.0.folder().join("film.mp4");
        fs::copy(Path::new(MEDIA).join("demo.mp4"), &file).unwrap();
        self.0.upload(&file);
        self.repair(&parts);
        self.0.succeed(&DEMO);
    }

    fn fail_under(&self, load: &Load) {
        load.phase("a Galera node killed", || {
            self.kill("galera-1");
            load.wait_for_all();
        });
        load.phase("the Galera node back", || self.repair(&["galera-1"]));
        load.phase("the whole database stopped and started", || {
            let nodes = ["galera-1", "galera-2", "galera-3"];
            nodes.iter().for_each(|node| self.kill(node));
            load.wait_for_refusal();
            load.wait_for_downloads();
            self.repair(&nodes);
        });
        let bricks = ["brick-group001-1", "brick-group002-1"];
        load.phase("a brick killed during an upload", || {
            let mut bricks = Some(bricks);
            load.upload(32 * MIB, &mut |sent| {
                if sent > 16 * MIB {
                    bricks
                        .take()
                        .into_iter()
                        .flatten()
                        .for_each(|brick| self.kill(brick));
                }
            });
        });
        load.phase("the brick back", || self.repair(&bricks));
        let storages = ["storage-1-1", "storage-2-1"];
        load.phase("a volume unmounted under a storage", || {
            for name in storages {
                let at = self.store(name);
                let unmounted = Command::new("umount").arg("-l").arg(&at).status();
                assert!(unmounted.unwrap().success() && mounted(&at).is_none());
            }
            load.wait_for_all();
            for name in storages {
                let (files, more) = stored_in(&self.store(name));
                assert!(files.is_empty() && more.is_empty(), "{files:?} {more:?}");
            }
        });
        let mounts = storages.map(|name| format!("mount-{name}"));
        load.phase("the volume mounted again", || {
            self.repair(&mounts.each_ref().map(String::as_str));
        });
    }

    fn store(&self, name: &str) -> std::path::PathBuf {
        let plan = self.plan();
        let node = plan.of(Role::Storage).find(|node| node.name == name);
        plan.store(node.unwrap())
    }

    fn wait_for_heal(&self) {
        let gluster = Gluster::find_persistent(&self.0.folder().join("glusterfs"));
        let gluster = gluster.unwrap().unwrap();
        for group in GROUPS {
            let volume = gluster.known_volume(group);
            volume.heal().unwrap();
            wait_for("everything to be healed", || match volume.heal_pending() {
                Ok(0) => Ok(()),
                other => Err(format!("{other:?}")),
            });
        }
    }

    fn n_rows(&self) -> usize {
        let plan = self.plan();
        let password = fs::read_to_string(plan.database_password()).unwrap();
        let count = |table| {
            let sql = format!("SELECT count(*) FROM tnv_storagedb.{table}");
            let addr = plan.galera[0].addr;
            let row = test_mariadb::first_row(addr, DATABASE_USER, &password, &sql);
            row.unwrap().unwrap()[0].parse::<usize>().unwrap()
        };
        ["t_file_01", "t_file_02", "t_file_03"]
            .map(count)
            .iter()
            .sum()
    }

    fn n_files(&self) -> usize {
        let count = |name| stored_in(&self.store(name)).0.len();
        ["storage-1-2", "storage-2-2"].map(count).iter().sum()
    }

    /// No process and no mount is left, and all files are below the folder of the cluster.
    fn assert_is_gone(&self) {
        let folder = self.0.folder().display().to_string();
        wait_for("every process to be gone", || {
            let is_ours = |line: &String| line.contains(&folder);
            match command_lines().find(is_ours) {
                Some(line) => Err(line),
                None => Ok(()),
            }
        });
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(&folder), "{mounts}");
    }
}

fn command_lines() -> impl Iterator<Item = String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
}
