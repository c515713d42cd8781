//! A cluster gets a key, and then another one, by rolling restarts under load.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use bench::Content;
use client::{Client, ClientConfig, ErrorKind, KeyRing, PeerKeys};
use test_cluster::{Node, Role, write_secret};
use test_support::http::get;

use crate::rolling::{Running, Tally, library};
use crate::support::{PATIENCE, new_key};

const OLD: &str = "the-first-key-of-the-nodes";
const NEW: &str = "the-second-key-of-the-nodes";
const LEGACY: &str = "127.0.0.0/8";

/// A cluster whose daemons and clients get keys.
struct Keyed {
    cluster: Running,
    /// The configuration of each daemon without keys.
    plain: Vec<(Node, String)>,
    key_file: PathBuf,
    client: Mutex<Client>,
}

impl Keyed {
    fn start() -> Keyed {
        let mut cluster = Running::start();
        let read = |node: &Node| {
            let config = fs::read_to_string(cluster.plan().config(node)).unwrap();
            (node.clone(), config)
        };
        let plain = cluster.plan().nodes.iter().map(read).collect();
        let key_file = cluster.path("keys");
        cluster.settings = cluster.path("tnv.toml");
        let settings = format!("key_file = {key_file:?}\nlegacy_hosts = [\"{LEGACY}\"]\n");
        fs::write(&cluster.settings, settings).unwrap();
        write_keys(&key_file, &[OLD]);
        let client = client(&cluster, Some(OLD));
        Keyed {
            cluster,
            plain,
            key_file,
            client: Mutex::new(client),
        }
    }

    /// Gives each daemon the key, and these legacy hosts.
    fn configure(&self, legacy: &[&str]) {
        for (node, plain) in &self.plain {
            let key = match node.role {
                Role::Httpd => "key_file",
                _ => "cluster_key_file",
            };
            let keys = format!("{key} = {:?}\nlegacy_hosts = {legacy:?}\n", self.key_file);
            fs::write(self.cluster.plan().config(node), keys + plain).unwrap();
        }
    }

    fn restart(&self, step: &str) {
        let began = Instant::now();
        let restarted = self.cluster.rolling_restart();
        println!("{step}: {:?}", began.elapsed());
        assert!(restarted.status.success(), "{step}: {restarted:?}");
    }

    /// Moves the cluster from no key to the old one and to the new one.
    fn change_keys(&self) {
        self.configure(&[LEGACY]);
        self.restart("the first key, for those that have it");
        self.configure(&[]);
        self.restart("the first key, for all");
        write_keys(&self.key_file, &[OLD, NEW]);
        self.restart("the second key is accepted");
        write_keys(&self.key_file, &[NEW, OLD]);
        self.restart("the second key signs");
        *self.client.lock().unwrap() = client(&self.cluster, Some(NEW));
        write_keys(&self.key_file, &[NEW]);
        self.restart("the first key is gone");
    }

    fn client(&self) -> Client {
        self.client.lock().unwrap().clone()
    }
}

fn client(cluster: &Running, key: Option<&str>) -> Client {
    let trackers = cluster.plan().addrs(Role::Tracker);
    let mut config = ClientConfig::new(trackers.into_iter().map(Into::into).collect());
    config.connection.keys = key.map(|key| {
        let legacy = vec![LEGACY.parse().unwrap()];
        Arc::new(PeerKeys::new(KeyRing::parse(key).unwrap(), legacy))
    });
    Client::new(config)
}

fn write_keys(file: &Path, keys: &[&str]) {
    write_secret(file, &keys.join("\n")).unwrap();
}

#[test]
fn no_operation_fails_while_a_cluster_gets_its_keys() {
    let keyed = Keyed::start();
    let tally = Tally::default();
    let film = Content::new(9, 300_000);
    let key = new_key();
    let mut source = film.clone();
    let uploaded = keyed
        .client()
        .upload(&key, &mut source, film.size(), &mut |_| ());
    uploaded.unwrap();
    let httpds = keyed.cluster.plan().addrs(Role::Httpd);
    thread::scope(|scope| {
        for seed in 1..=2 {
            let (tally, keyed) = (&tally, &keyed);
            let one = move |round| library(&keyed.client(), 100 + seed, round);
            scope.spawn(move || tally.repeat("library", one));
        }
        scope.spawn(|| {
            tally.repeat("http", |round| {
                // One httpd of the two is being restarted, at most.
                let answers = (0..2).map(|idx| {
                    let httpd = httpds[(round as usize + idx) % 2];
                    get(
                        &format!("http://{httpd}/files/{}", key.file),
                        None,
                        PATIENCE,
                    )
                });
                let mut served = answers.flatten().filter(|answer| answer.status == 200);
                let answer = served.next().ok_or(anyhow::anyhow!("no httpd serves"))?;
                film.clone().compare(&mut &answer.body[..])?;
                Ok(())
            });
        });
        keyed.change_keys();
        tally.end();
    });
    tally.assert_no_failure(50);
    for refused in [None, Some(OLD)] {
        let error = client(&keyed.cluster, refused).stat(&key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Forbidden, "{error}");
    }
    assert_eq!(keyed.client().stat(&key).unwrap().size, film.size());
}
