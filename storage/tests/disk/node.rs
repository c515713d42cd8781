//! A storage process with two store paths, `a` and `b`, and a tracker that hears its reports.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use daemon::net::Server;
use tempfile::TempDir;
use test_support::{until, wait_for};

use super::support::{Client, idserver};
use super::tracker::Tracker;

pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Node {
    pub tracker: Tracker,
    pub addr: SocketAddr,
    daemon: Child,
    idserver: Option<Server>,
    folder: TempDir,
}

/// A folder with the two store paths, to mount disks at.
pub fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for path in ["a", "b"] {
        fs::create_dir(folder.path().join(path)).unwrap();
    }
    folder
}

impl Node {
    /// On the store paths `paths` of a folder.
    pub fn start(folder: TempDir, paths: &[&str], reserved: &str) -> Node {
        let (tracker, idserver) = (Tracker::start(), idserver());
        let text = format!(
            "listen = \"127.0.0.1:0\"\nhostname = \"vm\"\ntrackers = [\"{}\"]\n\
             idservers = [\"{}\"]\nstore_paths = {paths:?}\ndatabase = \"sqlite:storage.db\"\n\
             reserved_space = \"{reserved}\"\ndisk_timeout = \"1s\"\nbeat_interval = \"1s\"\n\
             state_file = \"state\"\n\
             [status]\nlisten = \"off\"\n\
             [server]\nworkers = 8\nfast_workers = 4\n",
            tracker.server.as_ref().unwrap().addr(),
            idserver.addr()
        );
        fs::write(folder.path().join("storage.toml"), text).unwrap();
        let daemon = spawn(folder.path());
        let mut node = Node {
            tracker,
            addr: ([127, 0, 0, 1], 0).into(),
            daemon,
            idserver: Some(idserver),
            folder,
        };
        node.addr = serving(node.folder.path());
        until("the tracker was told", || node.tracker.all_take_uploads());
        node
    }

    pub fn restart(&mut self) {
        self.kill();
        self.daemon = spawn(self.folder.path());
        self.addr = serving(self.folder.path());
    }

    pub fn kill(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
    }

    pub fn client(&self) -> Client {
        Client::connect(self.addr)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Files below a store path, temporary ones too, without those of probes.
    pub fn files(&self, path: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.path(path)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    Ok(_) if entry.file_name().to_str().unwrap().starts_with(".tnv-") => {}
                    _ => files.push(entry.path()),
                }
            }
        }
        files
    }

    /// Uploads files until each store path has one of this size; tells their names.
    pub fn one_on_each(&self, len: usize) -> [String; 2] {
        let mut names = Vec::new();
        for path in ["a", "b"] {
            let before = self.files(path).len();
            loop {
                let name = format!("on-{path}-{}", rand::random::<u32>());
                self.client().upload(&name, &content(len)).unwrap();
                if self.files(path).len() > before {
                    names.push(name);
                    break;
                }
                self.client().delete(&name).unwrap();
            }
        }
        names.try_into().unwrap()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A disk that hangs would keep it, so the disk has to be dropped first.
        self.kill();
        self.idserver.take().into_iter().for_each(Server::shutdown);
    }
}

fn spawn(folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tnv-storage"))
        .args(["--config", "storage.toml"])
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stderr(File::create(folder.join("log")).unwrap())
        .spawn()
        .unwrap()
}

fn serving(folder: &Path) -> SocketAddr {
    let look = || {
        let text = fs::read_to_string(folder.join("log")).unwrap_or_default();
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.split("serving on ").nth(1));
        line.and_then(|addr| addr.trim().parse().ok()).ok_or(text)
    };
    wait_for("the storage to serve", PATIENCE, look).unwrap()
}

pub fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 7 % 251) as u8).collect()
}
