//! A cluster with settings that decide who is served.

use std::fs;
use std::io::Cursor;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use client::{Client, ClientConfig, KeyRing, PeerKeys};
use proto::peer_proof::ClientProof;
use proto::{FileKey, ServerKind};
use test_cluster::{Node, Role, write_secret};

use crate::support::{Fixture, new_key, wait_for};

const APP_KEY: &str = "tnvideo 77aa77aa77aa77aa-of-the-application";
/// `cluster_key_file` as the Debian package makes it: the key of the nodes and one of an application.
const KEYS: &str = "5f0c5f0c5f0c5f0c-of-the-nodes\ntnvideo 77aa77aa77aa77aa-of-the-application\n";

/// The servers of the wire protocol.
pub const WIRE: [Role; 3] = [Role::Tracker, Role::Idserver, Role::Storage];

/// The kind of server that has this role.
pub fn kind(role: Role) -> ServerKind {
    match role {
        Role::Tracker => ServerKind::Tracker,
        Role::Idserver => ServerKind::Idserver,
        Role::Storage => ServerKind::Storage,
        Role::Httpd => panic!("httpd has no such port"),
    }
}

/// A cluster that listens on all addresses, and a file stored in it.
pub struct Guarded {
    pub fixture: Fixture,
    pub stored: FileKey,
    has_key: bool,
}

impl Guarded {
    /// With the key of the Debian package, and more settings.
    pub fn with_key(more: &str) -> Guarded {
        let fixture = Fixture::small(1);
        let keys = fixture.folder_path("cluster-key");
        write_secret(&keys, KEYS).unwrap();
        Guarded::start(fixture, Some(keys), more)
    }

    /// Without any setting that decides who is served.
    pub fn without_settings() -> Guarded {
        Guarded::start(Fixture::small(1), None, "")
    }

    fn start(mut fixture: Fixture, keys: Option<PathBuf>, more: &str) -> Guarded {
        for node in fixture.cluster.plan().nodes.clone() {
            fixture.cluster.kill(&node).unwrap();
            let added = match (&keys, node.role) {
                (None, _) => String::new(),
                (Some(keys), Role::Httpd) => format!("key_file = {keys:?}\n"),
                (Some(keys), _) => format!("cluster_key_file = {keys:?}\n{more}"),
            };
            let config = fixture.cluster.plan().config(&node);
            let text = fs::read_to_string(&config).unwrap();
            let text = text.replacen("listen = \"127.0.0.1:", "listen = \"0.0.0.0:", 1);
            fs::write(&config, added + &text).unwrap();
            fixture.cluster.start_node(&node).unwrap();
        }
        let mut guarded = Guarded {
            fixture,
            stored: new_key(),
            has_key: keys.is_some(),
        };
        guarded.stored = wait_for("the first upload", || {
            let key = new_key();
            let upload = guarded
                .client()
                .upload(&key, &mut Cursor::new(b"stored"), 6, &mut |_| ());
            upload.map(|_| key).map_err(|e| e.to_string())
        });
        guarded
    }

    /// A client with the key of the application, if there is one.
    pub fn client(&self) -> Client {
        self.client_of(self.node(Role::Tracker).addr)
    }

    /// The same client with a tracker at this address.
    pub fn client_of(&self, tracker: SocketAddr) -> Client {
        let mut config = ClientConfig::new(vec![tracker.into()]);
        let keys = || PeerKeys::new(KeyRing::parse(APP_KEY).unwrap(), vec![]);
        config.connection.keys = self.has_key.then(|| Arc::new(keys()));
        Client::new(config)
    }

    /// The only node of a role.
    pub fn node(&self, role: Role) -> Node {
        self.fixture.nodes(role).remove(0)
    }

    /// The lines of a log with a refusal of this peer.
    pub fn refusals(&self, node: &Node, peer: &str) -> Vec<String> {
        let log = fs::read_to_string(self.fixture.cluster.plan().log(node)).unwrap();
        let lines = log.lines().map(str::to_owned);
        let is_refusal = |line: &String| line.contains("is refused: ") && line.contains(peer);
        lines.filter(is_refusal).collect()
    }

    /// A sample of the metrics of a node; 0 if there is none.
    pub fn sample(&self, node: &Node, name: &str) -> u64 {
        let page = self.metrics(node);
        let mut values = page.lines().filter_map(|line| line.strip_prefix(name));
        let value = values.find_map(|value| value.trim().parse().ok());
        value.unwrap_or(0)
    }

    /// Number of requests that a node has answered.
    pub fn requests(&self, node: &Node) -> u64 {
        let page = self.metrics(node);
        let lines = page
            .lines()
            .filter(|line| line.starts_with("tnv_requests_total{"));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        values.sum()
    }

    fn metrics(&self, node: &Node) -> String {
        let url = format!("http://{}/metrics", node.status);
        String::from_utf8(self.fixture.get(&url, None).body).unwrap()
    }

    /// AUTHENTICATE with the key of the application.
    pub fn authenticate(&self, server: ServerKind, address: SocketAddr) -> Vec<u8> {
        let ring = KeyRing::parse(APP_KEY).unwrap();
        ClientProof::begin(server, ring.signing(), address, [9; 16]).authenticate()
    }

    /// The stored file is there and unchanged, and nothing has panicked.
    pub fn assert_unharmed(&mut self) {
        assert_eq!(self.client().stat(&self.stored).unwrap().size, 6);
        for node in self.fixture.cluster.plan().nodes.clone() {
            assert!(self.fixture.cluster.process(&node).unwrap().is_alive());
            let plan = self.fixture.cluster.plan();
            for log in [plan.log(&node), plan.err_log(&node)] {
                let text = fs::read_to_string(&log).unwrap();
                assert!(!text.contains("panicked"), "{}:\n{text}", log.display());
            }
        }
    }
}
