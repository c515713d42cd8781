//! A storage with an idserver that counts, and the client's side of each command.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::units::{ByteSize, Period};
use daemon::status::StatusConfig;
use db::DatabaseUrl;
use net::{Server, ServerConfig};
use proto::storage::{Download, FileStat, REPLY, StorageRequest, Upload, decode_file_size};
use proto::{ErrorCode, Fault, FileKey};
use storage::config::{CacheConfig, Durability};
use storage::{Config, Reserve, Settings, Storage};
use tempfile::TempDir;
use test_peers::wire;
use test_support::http::{Answer, page};

pub(crate) use idserver::idserver;

// The unit tests use this file too, and other test programs use `support.rs`.
#[path = "idserver.rs"]
mod idserver;

pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn config(folder: &Path, idserver: SocketAddr) -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        server: ServerConfig {
            workers: 4,
            ..ServerConfig::default()
        },
        status: StatusConfig::off(),
        ..Config::of(Settings {
            hostname: "vm".parse().unwrap(),
            trackers: Vec::new(),
            state_file: folder.join("storage.state"),
            idservers: vec![idserver.into()],
            store_paths: vec![folder.join("data").to_str().unwrap().to_owned()],
            database: DatabaseUrl::Sqlite(folder.join("storage.db")),
            durability: Durability::Full,
            reserved_space: Reserve::Bytes(ByteSize::new(0)),
            beat_interval: Period::from_millis(50),
            cache: CacheConfig::default(),
            ..Settings::default()
        })
    }
}

/// A storage, its idserver and its folder.
pub struct Node {
    pub storage: Option<Storage>,
    pub idserver: Option<Server>,
    pub folder: TempDir,
    pub config: Config,
}

impl Node {
    pub fn start() -> Node {
        Node::start_with(|_| {})
    }

    pub fn start_with(change: impl FnOnce(&mut Config)) -> Node {
        let folder = tempfile::tempdir().unwrap();
        let idserver = idserver();
        let mut config = config(folder.path(), idserver.addr());
        change(&mut config);
        let storage = Storage::start(config.clone()).unwrap();
        Node {
            storage: Some(storage),
            idserver: Some(idserver),
            folder,
            config,
        }
    }

    /// Another storage of the same group: the same folder, the same database.
    pub fn peer(&self) -> Peer {
        static PEERS: AtomicU64 = AtomicU64::new(0);
        let number = PEERS.fetch_add(1, Ordering::Relaxed);
        let mut config = self.config.clone();
        config.state_file = self.folder.path().join(format!("peer-{number}.state"));
        Peer(Some(Storage::start(config).unwrap()))
    }

    pub fn client(&self) -> Client {
        Client::connect(self.storage.as_ref().unwrap().addr())
    }

    /// The answer of the status port.
    pub fn ask_status(&self, path: &str) -> Answer {
        page(self.storage.as_ref().unwrap().status_addr().unwrap(), path)
    }

    /// A page of the status port.
    pub fn page(&self, path: &str) -> String {
        self.ask_status(path).text().to_owned()
    }

    pub fn restart(&mut self) {
        self.storage.take().unwrap().shutdown();
        self.storage = Some(Storage::start(self.config.clone()).unwrap());
    }

    /// All files below the store paths, without those of probes and tags.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders: Vec<PathBuf> = self.config.store_paths.iter().map(PathBuf::from).collect();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path
                    .file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .starts_with(".tnv-")
                {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path)
                } else {
                    files.push(path)
                }
            }
        }
        files
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.storage.take().into_iter().for_each(Storage::shutdown);
        self.idserver.take().into_iter().for_each(Server::shutdown);
    }
}

pub struct Peer(Option<Storage>);

impl Peer {
    pub fn client(&self) -> Client {
        Client::connect(self.0.as_ref().unwrap().addr())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(Storage::shutdown);
    }
}

pub struct Client(pub TcpStream);

impl Client {
    pub fn connect(addr: SocketAddr) -> Client {
        Client(wire::connect(addr))
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
        self.0.write_all(bytes).unwrap();
        self.receive()
    }

    pub fn receive(&mut self) -> Result<Vec<u8>, Fault> {
        let reply = wire::receive(&mut self.0);
        assert_eq!(wire::head_of(&reply).command, REPLY);
        wire::result_of(&reply)
    }

    pub fn upload(&mut self, file: &str, content: &[u8]) -> Result<(), Fault> {
        let mut request = upload_head(file, content.len() as u64);
        request.extend_from_slice(content);
        self.send(&request).map(|body| assert!(body.is_empty()))
    }

    pub fn download(&mut self, file: &str, offset: u64, size: u64) -> Result<Vec<u8>, Fault> {
        let download = Download {
            key: key(file),
            offset,
            size,
        };
        self.send(&StorageRequest::Download(download).encode())
    }

    pub fn size(&mut self, file: &str) -> Result<u64, Fault> {
        let body = self.send(&StorageRequest::FileSize(key(file)).encode())?;
        Ok(decode_file_size(&body).unwrap())
    }

    pub fn stat(&mut self, file: &str) -> Result<FileStat, Fault> {
        let body = self.send(&StorageRequest::Stat(key(file)).encode())?;
        Ok(FileStat::decode(&body).unwrap())
    }

    pub fn delete(&mut self, file: &str) -> Result<(), Fault> {
        let body = self.send(&StorageRequest::Delete(key(file)).encode());
        body.map(|body| assert!(body.is_empty()))
    }
}

pub fn make_fifo(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

pub fn upload_head(file: &str, size: u64) -> Vec<u8> {
    StorageRequest::Upload(Upload {
        key: key(file),
        size,
    })
    .encode()
}

pub fn key(file: &str) -> FileKey {
    FileKey {
        app: "tnvideo".parse().unwrap(),
        user: "tnv001".parse().unwrap(),
        file: file.parse().unwrap(),
    }
}

/// The kind of failure, and that its message begins with the host's name.
pub fn code<T: std::fmt::Debug>(result: Result<T, Fault>) -> ErrorCode {
    let fault = result.unwrap_err();
    assert!(fault.message.starts_with("[vm] "), "{fault}");
    fault.code
}
