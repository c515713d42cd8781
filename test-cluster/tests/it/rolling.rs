//! The script of operators restarts every daemon of a cluster under load, one after another. No operation
//! fails and no stream is cut.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use bench::Content;
use client::{Client, ClientConfig};
use test_cluster::tnv::Tnv;
use test_cluster::{Layout, Plan, Ports, Role, probe};

use crate::players::Player;
use crate::support::{Background, MIB, binaries, new_key};

/// Events during the restarts of the daemons.
#[derive(Default)]
pub struct Tally {
    over: AtomicBool,
    operations: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Tally {
    fn note(&self, what: &str, result: anyhow::Result<()>) {
        self.operations.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = result {
            println!("{what}: {error:#}");
            self.failures
                .lock()
                .unwrap()
                .push(format!("{what}: {error:#}"));
        }
    }

    /// Ends the repetitions.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// No operation failed, of at least `n_min`.
    pub fn assert_no_failure(&self, n_min: u64) {
        let operations = self.operations.load(Ordering::Relaxed);
        let failures = self.failures.lock().unwrap();
        println!("{operations} operations, {} failures", failures.len());
        assert!(failures.is_empty(), "of {operations}: {failures:#?}");
        assert!(operations >= n_min, "{operations}");
    }

    /// Repeats `work` with the number of the round, until the restarts are over.
    pub fn repeat(&self, what: &str, mut work: impl FnMut(u64) -> anyhow::Result<()>) {
        for round in 0.. {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            self.note(what, work(round));
        }
    }
}

fn layout() -> Layout {
    Layout {
        groups: 2,
        ports: Ports::anywhere(),
        ..Layout::pairs()
    }
}

#[test]
fn no_operation_fails_during_a_rolling_restart() {
    let cluster = Running::start();
    let tally = Arc::new(Tally::default());
    let films = [24, 64].map(|mib| Content::new(77 + mib, mib * MIB));
    let urls = films
        .each_ref()
        .map(|film| format!("/files/{}", cluster.upload(film)));
    thread::scope(|scope| {
        for seed in 1..=2 {
            let (tally, client) = (&tally, cluster.client());
            scope.spawn(move || tally.repeat("library", |round| library(&client, seed, round)));
        }
        scope.spawn(|| tally.repeat("tnv", |round| cluster.command_line(round)));
        // Two slow players at each server, with most of the film still to be sent at any moment: a restart
        // without a drain would cut one of them.
        for idx in 0..6 {
            let mut httpds = cluster.plan().addrs(Role::Httpd);
            httpds.rotate_left(idx % 2);
            let slow = idx >= 2;
            let which = usize::from(slow);
            let mut player = Player::new(httpds, &urls[which], films[which].clone(), slow);
            let tally = &tally;
            scope.spawn(move || tally.repeat("http", |_| player.play()));
        }
        let restarted = cluster.rolling_restart();
        tally.end();
        assert!(restarted.status.success(), "{restarted:?}");
    });
    tally.assert_no_failure(50);
    cluster.assert_all_restarted();
}

/// Uploads, downloads and deletes a file with the library.
pub fn library(client: &Client, seed: u64, round: u64) -> anyhow::Result<()> {
    let size = [1, 3000, 70_000, MIB + 5][(round % 4) as usize];
    let content = Content::new(seed << 32 | round, size);
    let key = new_key();
    client.upload(&key, &mut content.clone(), size, &mut |_| ())?;
    anyhow::ensure!(client.stat(&key)?.size == size, "another size");
    content.compare(&mut client.download(&key)?)?;
    client.delete(&key)?;
    Ok(())
}

/// A cluster in the background, as init scripts start it.
pub struct Running {
    pub daemons: Background,
    first_pids: Vec<u32>,
    /// The settings of `tnv` in the script.
    pub settings: PathBuf,
}

impl Running {
    pub fn start() -> Running {
        let daemons = Background::new(&layout());
        for node in &daemons.plan.nodes {
            let output = daemons.start(node);
            assert!(output.status.success(), "{output:?}");
        }
        for node in daemons.plan.of(Role::Storage) {
            crate::support::wait_for("a storage to be active", || {
                probe::ready(&daemons.plan, node).map_err(|e| format!("{e:#}"))
            });
        }
        let mut running = Running {
            daemons,
            first_pids: Vec::new(),
            settings: "/dev/null".into(),
        };
        running.first_pids = running.pids();
        running.write_restart_command();
        running
    }

    pub fn plan(&self) -> &Plan {
        &self.daemons.plan
    }

    fn client(&self) -> Client {
        let trackers = self.plan().addrs(Role::Tracker);
        Client::new(ClientConfig::new(
            trackers.into_iter().map(Into::into).collect(),
        ))
    }

    fn upload(&self, content: &Content) -> String {
        let key = new_key();
        self.client()
            .upload(&key, &mut content.clone(), content.size(), &mut |_| ())
            .unwrap();
        key.file.as_str().to_owned()
    }

    fn command_line(&self, round: u64) -> anyhow::Result<()> {
        let content = Content::new(5000 + round, 200_000);
        let (there, back) = (self.path("there"), self.path("back"));
        std::io::copy(&mut content.clone(), &mut fs::File::create(&there)?)?;
        let tnv = Tnv::new(self.plan(), &binaries());
        let id = tnv.say(["upload".as_ref(), there.as_os_str()])?;
        tnv.say(["stat", &id])?;
        let out = ["download", &id, "-o"].map(AsRef::as_ref);
        tnv.say(out.into_iter().chain([back.as_os_str()]))?;
        content.compare(&mut fs::File::open(&back)?)?;
        fs::remove_file(&back)?;
        tnv.say(["delete", &id])?;
        Ok(())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.plan().folder.join(name)
    }

    /// Like `service NAME restart`: SIGTERM, the end of the process (its lock on the pid
    /// file is gone), and a start that ends when it serves.
    fn write_restart_command(&self) {
        let (folder, bin) = (self.plan().folder.display(), binaries());
        let bin = bin.tnv().parent().unwrap().display().to_string();
        let text = format!(
            "#!/bin/sh\nset -eu\nkill -TERM \"$(cat '{folder}/'\"$1\".pid)\"\n\
             flock '{folder}/'\"$1\".pid true\n\
             role=${{1%%-*}}\n\
             exec '{bin}/tnv-'\"$role\" --config '{folder}/conf/'\"$1\".toml --daemon\n"
        );
        let path = self.path("restart");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    pub fn rolling_restart(&self) -> std::process::Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc/tnv-rolling-restart");
        let tnv = binaries().tnv();
        let path = std::env::var("PATH").unwrap();
        let trackers: Vec<String> = self
            .plan()
            .addrs(Role::Tracker)
            .iter()
            .map(ToString::to_string)
            .collect();
        Command::new(script)
            .args(["-t", &trackers.join(";"), "-c"])
            .arg(self.path("restart"))
            .args(self.plan().nodes.iter().map(|node| &node.name))
            .env(
                "PATH",
                format!("{}:{path}", tnv.parent().unwrap().display()),
            )
            .env("TNV_CONFIG", &self.settings)
            .output()
            .unwrap()
    }

    fn pids(&self) -> Vec<u32> {
        let pid = |node| self.plan().process(node).unwrap().unwrap().pid();
        self.plan().nodes.iter().map(pid).collect()
    }

    fn assert_all_restarted(&self) {
        for (before, after) in self.first_pids.iter().zip(self.pids()) {
            assert_ne!(*before, after);
        }
    }
}
