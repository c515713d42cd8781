//! A storage process with two store paths, `a` and `b`, and a tracker that hears its reports.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use net::Server;
use proto::storage::{Download, StorageRequest};
use tempfile::TempDir;
use test_disk::FaultyDisk;
use test_support::http::{Answer, page};
use test_support::process::Daemon;
use test_support::until;

use super::support::{Client, idserver, key};
use super::tracker::Tracker;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tnv-storage");

pub struct Node {
    pub tracker: Tracker,
    pub addr: SocketAddr,
    /// The status port.
    pub status: SocketAddr,
    daemon: Daemon,
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
        Node::start_with(folder, paths, reserved, "state_file = \"state\"\n")
    }

    /// The same with further settings, the state file among them.
    pub fn start_with(folder: TempDir, paths: &[&str], reserved: &str, more: &str) -> Node {
        let (tracker, idserver) = (Tracker::start(), idserver());
        let status = free_port();
        let text = format!(
            "listen = \"127.0.0.1:0\"\nhostname = \"vm\"\ntrackers = [\"{}\"]\n\
             idservers = [\"{}\"]\nstore_paths = {paths:?}\ndatabase = \"sqlite:storage.db\"\n\
             reserved_space = \"{reserved}\"\ndisk_timeout = \"1s\"\nbeat_interval = \"1s\"\n\
             {more}\
             [status]\nlisten = \"{status}\"\n\
             [server]\nworkers = 8\nfast_workers = 4\n",
            tracker.server.as_ref().unwrap().addr(),
            idserver.addr()
        );
        fs::write(folder.path().join("storage.toml"), text).unwrap();
        let daemon = spawn(folder.path(), command());
        let mut node = Node {
            tracker,
            addr: ([127, 0, 0, 1], 0).into(),
            status,
            daemon,
            idserver: Some(idserver),
            folder,
        };
        node.addr = node.daemon.serving("storage");
        until("the tracker was told", || node.tracker.all_take_uploads());
        node
    }

    pub fn restart(&mut self) {
        self.restart_as(command());
    }

    /// The same, in a process that may have so many files open.
    pub fn restart_with_files(&mut self, n_files: u32) {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -n {n_files}; exec \"$0\" \"$@\"");
        shell.arg("-c").arg(script).arg(PROGRAM);
        self.restart_as(shell);
    }

    fn restart_as(&mut self, command: Command) {
        self.kill();
        self.daemon = spawn(self.folder.path(), command);
        self.addr = self.daemon.serving("storage");
    }

    /// The answer of the status port.
    pub fn page(&self, path: &str) -> Answer {
        page(self.status, path)
    }

    /// The lines that `--list-orphans` prints.
    pub fn list_orphans(&self) -> String {
        let listed = command()
            .args(["--config", "storage.toml", "--list-orphans"])
            .current_dir(self.folder.path())
            .output();
        String::from_utf8(listed.unwrap().stdout).unwrap()
    }

    pub fn kill(&mut self) {
        self.daemon.kill();
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

fn command() -> Command {
    Command::new(PROGRAM)
}

/// A port that was free a moment ago.
fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn spawn(folder: &Path, mut command: Command) -> Daemon {
    Daemon::start(&mut command, folder, "storage.toml")
}

/// A FUSE disk at store path `a`, of this many bytes.
pub fn faulty_disk(folder: &TempDir, size: u64) -> FaultyDisk {
    FaultyDisk::mount(&folder.path().join("a"), size).unwrap()
}

/// A request for a whole file.
pub fn download_of(file: &str) -> Vec<u8> {
    StorageRequest::Download(Download {
        key: key(file),
        offset: 0,
        size: 0,
    })
    .encode()
}

pub fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 7 % 251) as u8).collect()
}
