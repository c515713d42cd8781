//! A storage process with two store paths, `a` and `b`, and a tracker that hears its reports.

use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use net::Server;
use tempfile::TempDir;
use test_support::{until, wait_for};

use super::support::{Client, idserver};
use super::tracker::Tracker;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tnv-storage");

pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Node {
    pub tracker: Tracker,
    pub addr: SocketAddr,
    /// The status port.
    pub status: SocketAddr,
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
        node.addr = serving(node.folder.path());
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
        self.addr = serving(self.folder.path());
    }

    /// A page of the status port, with its head.
    pub fn page(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.status).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        std::io::read_to_string(stream).unwrap()
    }

    /// What `--list-orphans` prints.
    pub fn list_orphans(&self) -> String {
        let listed = command()
            .args(["--config", "storage.toml", "--list-orphans"])
            .current_dir(self.folder.path())
            .output();
        String::from_utf8(listed.unwrap().stdout).unwrap()
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

fn command() -> Command {
    Command::new(PROGRAM)
}

/// A port that was free a moment ago.
fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn spawn(folder: &Path, mut command: Command) -> Child {
    command
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
