//! A volume with two storages on it: as on two hosts, each is a process with a mount of its own in
//! its working folder, so that both write the same paths.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, Weak};

use net::Server;
use proto::Address;
use tempfile::TempDir;
use test_glusterfs::{Gluster, Mount, Volume};
use test_support::http::page;
use test_support::process::Daemon;
use test_support::until;

use super::support::{Client, idserver};
use super::tracker::Tracker;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tnv-storage");
const CONFIG: &str = "storage.toml";

/// The glusterd of all tests that run at this moment.
pub struct Shared {
    gluster: Gluster,
    folder: TempDir,
}

pub fn shared() -> Arc<Shared> {
    static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());
    // A test that could not start it tells why; the next one may try again.
    let mut shared = SHARED.lock().unwrap_or_else(|e| e.into_inner());
    shared.upgrade().unwrap_or_else(|| {
        let folder = tempfile::tempdir().unwrap();
        let gluster = Gluster::start(folder.path()).unwrap();
        let new = Arc::new(Shared { gluster, folder });
        *shared = Arc::downgrade(&new);
        new
    })
}

impl Shared {
    pub fn gluster(&self) -> &Gluster {
        &self.gluster
    }
}

/// Two storages of one group.
pub struct Group {
    pub nodes: [Node; 2],
    pub tracker: Tracker,
    pub volume: Volume,
    idserver: Option<Server>,
    _shared: Arc<Shared>,
}

impl Group {
    /// On a volume of its own; `more` is added to the configurations.
    pub fn start(name: &str, more: &str) -> Group {
        let shared = shared();
        let volume = shared.gluster().volume(name).unwrap();
        Group::on(shared, volume, name, more)
    }

    pub fn on(shared: Arc<Shared>, volume: Volume, name: &str, more: &str) -> Group {
        let (tracker, idserver) = (Tracker::start(), idserver());
        let folder = shared.folder.path().join(name);
        let trackers = tracker.server.as_ref().unwrap().addr();
        let nodes = ["a", "b"].map(|node| {
            let folder = folder.join(node);
            fs::create_dir_all(folder.join("data")).unwrap();
            let text = format!(
                "listen = \"127.0.0.1:0\"\nhostname = \"{node}\"\ntrackers = [\"{trackers}\"]\n\
                 idservers = [\"{}\"]\nstore_paths = [\"data\"]\nrequire_marker = true\n\
                 state_file = \"state\"
database = \"sqlite:../storage.db\"
reserved_space = \"0B\"
\
                 beat_interval = \"1s\"
{more}
[status]
listen = \"127.0.0.1:0\"
\
                 [log]
level = \"debug\"
",
                idserver.addr()
            );
            fs::write(folder.join("storage.toml"), text).unwrap();
            Node::start(folder, &volume)
        });
        let group = Group {
            nodes,
            tracker,
            volume,
            idserver: Some(idserver),
            _shared: shared,
        };
        group.wait_for_uploads();
        group
    }

    pub fn wait_for_uploads(&self) {
        until("every storage takes uploads", || {
            self.tracker.all_take_uploads()
        });
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.kill();
        }
        self.idserver.take().into_iter().for_each(Server::shutdown);
    }
}

/// One storage and its mount.
pub struct Node {
    pub folder: PathBuf,
    pub mount: Option<Mount>,
    daemon: Option<Daemon>,
    addr: SocketAddr,
    status: SocketAddr,
}

impl Node {
    fn start(folder: PathBuf, volume: &Volume) -> Node {
        let mount = volume.mount(&folder.join("data")).unwrap();
        let marked = run(&folder, &["--init-store"]);
        assert!(marked.status.success(), "{marked:?}");
        let mut node = Node {
            folder,
            mount: Some(mount),
            daemon: None,
            addr: ([127, 0, 0, 1], 0).into(),
            status: ([127, 0, 0, 1], 0).into(),
        };
        node.spawn();
        node
    }

    /// Starts the daemon and waits until it serves.
    pub fn spawn(&mut self) {
        let daemon = Daemon::start(&mut Command::new(PROGRAM), &self.folder, CONFIG);
        self.addr = daemon.serving("storage");
        self.status = daemon.serving("status");
        self.daemon = Some(daemon);
    }

    /// A page of the status port.
    pub fn page(&self, path: &str) -> String {
        page(self.status, path).text().to_owned()
    }

    /// As by the system when memory is short, or by a power cut of its host.
    pub fn kill(&mut self) {
        self.daemon = None;
    }

    pub fn client(&self) -> Client {
        Client::connect(self.addr)
    }

    pub fn address(&self) -> Address {
        self.addr.into()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Files in the store path, without marks and probes of the storages.
    pub fn files(&self) -> Vec<PathBuf> {
        let is_own = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            !name.starts_with(".tnv-")
        };
        files_below(&self.data())
            .into_iter()
            .filter(is_own)
            .collect()
    }
}

/// Runs the program to its end.
pub fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    let command = Daemon::configure(&mut command, folder, CONFIG);
    command.args(args).output().unwrap()
}

pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files
}

/// Bytes that differ from file to file.
pub fn content(seed: usize, len: usize) -> Vec<u8> {
    let mut state = seed as u64 ^ 0x9E37_79B9_7F4A_7C15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&next());
    }
    bytes.truncate(len);
    bytes
}
