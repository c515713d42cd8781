//! A small cluster, its users with `tnv`, the library and HTTP, and daemons in the background.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use bench::Content;
use client::{Client, ClientConfig, new_file_id};
use proto::{FileKey, UserId};
use rustix::process::Signal;
use tempfile::TempDir;
use test_cluster::tnv::Tnv;
use test_cluster::{APP, Binaries, Cluster, Layout, Node, Plan, Role, USER, proc};
use test_support::Seen;
use test_support::http::{Answer, get, open};
use test_support::process::Process;

pub const MIB: u64 = 1 << 20;
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster in a temporary folder.
pub struct Fixture {
    pub cluster: Cluster,
    folder: TempDir,
}

impl Fixture {
    pub fn start(layout: &Layout) -> Fixture {
        // Below the target folder: on a disk, which /tmp need not be.
        Fixture::start_in(
            layout,
            tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(),
        )
    }

    pub fn start_in(layout: &Layout, folder: TempDir) -> Fixture {
        let cluster = Cluster::start(layout, folder.path(), binaries()).unwrap();
        Fixture { cluster, folder }
    }

    pub fn small(storages: u16) -> Fixture {
        Fixture::start(&Layout::small(storages))
    }

    pub fn nodes(&self, role: Role) -> Vec<Node> {
        self.cluster.plan().of(role).cloned().collect()
    }

    pub fn tnv(&self) -> Tnv {
        Tnv::new(self.cluster.plan(), self.cluster.binaries())
    }

    pub fn client(&self) -> Client {
        let trackers = self.cluster.addresses(Role::Tracker);
        Client::new(ClientConfig::new(
            trackers.into_iter().map(Into::into).collect(),
        ))
    }

    pub fn url(&self, id: &str) -> String {
        let httpd = self.cluster.addresses(Role::Httpd)[0];
        format!("http://{httpd}/files/{id}")
    }

    /// A page, as soon as its server listens. The status port of a daemon listens a moment after the port
    /// that the start waits for.
    pub fn get(&self, url: &str, range: Option<&str>) -> Answer {
        wait_for("the page", || {
            get(url, range, PATIENCE).map_err(|e| format!("{e:#}"))
        })
    }

    /// HTTP serves the file with this content.
    pub fn assert_streams(&self, id: &str, content: &Content) {
        let url = self.url(id);
        let (answer, mut body) = open(&url, None, PATIENCE).unwrap();
        assert_eq!(answer.status, 200, "{url}");
        content.clone().compare(&mut body).unwrap();
    }

    /// Stores content through the library.
    pub fn upload(&self, content: &Content) -> FileKey {
        let key = new_key();
        let (mut source, size) = (content.clone(), content.size());
        self.client()
            .upload(&key, &mut source, size, &mut |_| ())
            .unwrap();
        key
    }

    /// Stores a file through the command line; returns its id.
    pub fn tnv_upload(&self, path: &Path) -> String {
        self.tnv()
            .say(["upload".as_ref(), path.as_os_str()])
            .unwrap()
    }

    /// A path outside of the store.
    pub fn folder_path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file with this content, outside of the store.
    pub fn local_file(&self, name: &str, content: &Content) -> PathBuf {
        let path = self.folder_path(name);
        let mut file = File::create(&path).unwrap();
        io::copy(&mut content.clone(), &mut file).unwrap();
        path
    }

    /// The storage with an open file in the store, temporary or final.
    pub fn storage_at_work(&mut self, temporary: bool) -> Seen<Node> {
        for node in self.nodes(Role::Storage) {
            let store = self.store();
            let Ok(process) = self.cluster.process(&node) else {
                continue;
            };
            let mut open = proc::open_files(process.pid(), &store);
            open.retain(|path| is_content(path, &store));
            if open.iter().any(|path| is_temporary(path) == temporary) {
                return Ok(node);
            }
        }
        Err("no storage with such a file open".to_owned())
    }

    /// The store path of the first group.
    pub fn store(&self) -> PathBuf {
        let plan = self.cluster.plan();
        plan.store(plan.of(Role::Storage).next().unwrap())
    }

    /// The files in the store: final ones and temporary ones.
    pub fn stored(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        stored_in(&self.store())
    }

    /// Number of rows of all users.
    pub fn n_rows(&self) -> i64 {
        let path = self.cluster.plan().database(Role::Storage);
        let db = rusqlite::Connection::open(path).unwrap();
        let count = |table: &str| -> i64 {
            let query = format!("SELECT count(*) FROM {table}");
            db.query_row(&query, [], |row| row.get(0)).unwrap()
        };
        ["t_file_01", "t_file_02", "t_file_03"]
            .map(count)
            .iter()
            .sum()
    }

    /// Changes the configuration of a node and starts it anew.
    pub fn change_config(&mut self, node: &Node, change: impl FnOnce(String) -> String) {
        let config = self.cluster.plan().config(node);
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, change(text)).unwrap();
        self.cluster.kill(node).unwrap();
        self.cluster.start_node(node).unwrap();
        self.cluster.wait_ready().unwrap();
    }

    pub fn pid(&mut self, node: &Node) -> u32 {
        self.cluster.process(node).unwrap().pid()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.cluster.log_ends());
        }
    }
}

/// Daemons that start in the background with `--daemon`. Dropping it kills those that run.
pub struct Background {
    pub plan: Plan,
    _folder: TempDir,
}

impl Background {
    /// In the folder for temporary files, with access for every user.
    pub fn new(layout: &Layout) -> Background {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let plan = Plan::make(layout, folder.path()).unwrap();
        let background = Background {
            plan,
            _folder: folder,
        };
        for node in &background.plan.nodes {
            let (pid_file, folder) = (background.pid_file(node), &background.plan.folder);
            background.configure(
                node,
                &format!("\n[process]\nworking_directory = {folder:?}\npid_file = {pid_file:?}\n"),
            );
        }
        background
    }

    /// Adds lines to a configuration, in the section of the process.
    pub fn configure(&self, node: &Node, text: &str) {
        let mut config = OpenOptions::new();
        let mut config = config.append(true).open(self.plan.config(node)).unwrap();
        config.write_all(text.as_bytes()).unwrap();
    }

    pub fn pid_file(&self, node: &Node) -> PathBuf {
        self.plan.folder.join(format!("{}.pid", node.name))
    }

    /// `--daemon`, to the end of the process in the foreground. Its standard error is a pipe, which
    /// a process in the background must not keep open.
    pub fn start(&self, node: &Node) -> Output {
        Command::new(binaries().daemon(node.role))
            .arg("--config")
            .arg(self.plan.config(node))
            .arg("--daemon")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    pub fn process(&self, node: &Node) -> Option<Process> {
        self.plan.process(node).unwrap()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        for node in &self.plan.nodes {
            if let Ok(Some(process)) = self.plan.process(node) {
                let _ = process.signal(Signal::KILL);
            }
        }
    }
}

pub fn new_key() -> FileKey {
    let user = UserId::new(USER).unwrap();
    FileKey {
        app: APP.parse().unwrap(),
        file: new_file_id(&user),
        user,
    }
}

pub fn wait_for<T>(what: &str, look: impl FnMut() -> Seen<T>) -> T {
    test_support::wait_for(what, PATIENCE, look).unwrap()
}

/// A connection with timeouts.
pub fn connect(node: &Node) -> TcpStream {
    let stream = TcpStream::connect(node.addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The files in a store: final ones and temporary ones.
pub fn stored_in(store: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let mut folders = vec![store.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let list = if path.is_dir() {
                &mut folders
            } else {
                &mut files
            };
            list.push(path);
        }
    }
    files.retain(|path| is_content(path, store));
    files.into_iter().partition(|path| !is_temporary(path))
}

/// Content is three folders below the store path; other files belong to the storage.
fn is_content(path: &Path, store: &Path) -> bool {
    let below = path.strip_prefix(store);
    below.is_ok_and(|below| below.components().count() == 4)
}

fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

/// The programs of this build. `cargo test` for this package alone does not build them.
pub fn binaries() -> Binaries {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        if Binaries::beside_this_program().is_err() {
            build();
        }
    });
    Binaries::beside_this_program().unwrap()
}

fn build() {
    println!("the programs are missing, building them");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--workspace", "--bins", "--locked"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    cargo.env("CARGO_TARGET_DIR", target);
    assert!(cargo.status().unwrap().success());
}
