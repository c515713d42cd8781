//! A tracker that names two storages, and the storages.

use daemon::metrics::Metrics;
use daemon::status::StatusConfig;
use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::units::Period;
use httpd::{Config, Httpd, Settings};
use net::wire::{Caller, Reply, Service, Wire};
use net::{Part, Server, ServerConfig};
use proto::storage::{ByteRange, FileStat, StorageRequest, encode_file_size};
use proto::tracker::{SaddrsReply, TrackerRequest};
use proto::{Address, ErrorCode, Fault, Request as _};
use tempfile::TempDir;
use test_support::http::{Answer, Browser, browse};

/// A file that its first bytes tell to be MP4.
pub const MP4: &[u8] = b"\0\0\0\x18ftypisom\0\0\0\0isommp42 and so on";
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const MODIFIED: i64 = 1_600_000_000;
pub const LAST_MODIFIED: &str = "Sun, 13 Sep 2020 12:26:40 GMT";

/// The checksum that a storage keeps in the row of this content.
pub fn checksum_of(mut content: &[u8]) -> u128 {
    client::checksum_of(&mut content).unwrap()
}

/// How a storage behaves.
#[derive(Default)]
pub struct Storage {
    pub files: HashMap<&'static str, Vec<u8>>,
    /// Refuses STAT, as a C++ storage does.
    pub cpp: bool,
    /// Has rows without a checksum.
    pub unsummed: bool,
    /// Has lost its content, as long as this is set.
    pub lost: Arc<AtomicBool>,
    /// Has another file under the same id each time that one is asked for with READ.
    pub renewed: bool,
    /// Has content that differs in its last bit from what its row says, as long as this is set.
    pub damaged: Arc<AtomicBool>,
    /// A DOWNLOAD breaks off after so many bytes.
    pub breaks_after: Option<u64>,
    pub downloads: Arc<AtomicUsize>,
    /// First byte and length of each of them.
    pub asked: Arc<Mutex<Vec<(u64, u64)>>>,
}

impl Storage {
    fn stat_of(&self, content: &[u8]) -> FileStat {
        let edition = match self.renewed {
            true => self.downloads.load(Ordering::Relaxed) as u128,
            false => 0,
        };
        FileStat {
            size: content.len() as u64,
            modified: MODIFIED,
            checksum: (!self.unsummed).then(|| checksum_of(content) + edition),
            expires: false,
        }
    }

    fn send(&self, content: &[u8], offset: u64, len: u64, before: Vec<u8>) -> Reply {
        self.downloads.fetch_add(1, Ordering::Relaxed);
        self.asked.lock().unwrap().push((offset, len));
        let mut file = tempfile::tempfile().unwrap();
        let available = match self.lost.load(Ordering::Relaxed) {
            true => 0,
            false => len.min(self.breaks_after.unwrap_or(u64::MAX)),
        };
        let (from, to) = (offset, offset + available);
        let mut part = content[from as usize..to as usize].to_vec();
        if self.damaged.load(Ordering::Relaxed)
            && to == content.len() as u64
            && let Some(last) = part.last_mut()
        {
            *last ^= 1;
        }
        file.write_all(&part).unwrap();
        let file = Box::new(file);
        let content = Part::File {
            file,
            offset: 0,
            len,
        };
        Reply::Body(vec![Part::Bytes(before), content])
    }
}

impl Service for Storage {
    type Request = StorageRequest;
    type Session = ();

    fn call(&self, request: StorageRequest, _: &mut Caller<'_, ()>) -> Result<Reply, Fault> {
        let unknown = |text: &str| Fault::new(ErrorCode::Unknown, text);
        let content = |file: &proto::FileId| {
            let content = self.files.get(file.as_str());
            content.ok_or_else(|| match self.cpp {
                true => unknown(&format!("read database fail, fileid: {file}")),
                false => Fault::new(ErrorCode::NotFound, "file not found"),
            })
        };
        match request {
            StorageRequest::FileSize(key) => Ok(Reply::bytes(encode_file_size(
                content(&key.file)?.len() as u64,
            ))),
            StorageRequest::Stat(_) if self.cpp => Err(unknown("unknown command: 74")),
            StorageRequest::Stat(key) => {
                Ok(Reply::bytes(self.stat_of(content(&key.file)?).encode()))
            }
            StorageRequest::Download(download) => {
                let content = content(&download.key.file)?;
                let rest = content.len() as u64 - download.offset;
                let len = if download.size == 0 {
                    rest
                } else {
                    download.size
                };
                Ok(self.send(content, download.offset, len, Vec::new()))
            }
            StorageRequest::Read(_) if self.cpp => Err(unknown("unknown command: 75")),
            StorageRequest::Read(read) => {
                let content = content(&read.key.file)?;
                let ByteRange { offset, len } = read.range.within(content.len() as u64);
                Ok(self.send(content, offset, len, self.stat_of(content).encode()))
            }
            _ => Err(unknown("not in this test")),
        }
    }
}

struct Tracker(Vec<Address>);

impl Service for Tracker {
    type Request = TrackerRequest;
    type Session = ();

    fn call(&self, request: TrackerRequest, _: &mut Caller<'_, ()>) -> Result<Reply, Fault> {
        let TrackerRequest::Lookup(saddrs) = request else {
            // Nothing that httpd does may bind a user to a group.
            let message = format!("unknown command: {}", request.access_fields().command);
            return Err(Fault::new(ErrorCode::BadRequest, message));
        };
        if saddrs.user.as_str() == "nobody" {
            return Err(Fault::new(ErrorCode::NotFound, "nobody has no group"));
        }
        if saddrs.app.as_str() != "tnvideo" {
            return Err(Fault::new(ErrorCode::BadRequest, "unknown appid"));
        }
        let group = "group001".parse().unwrap();
        Ok(Reply::bytes(
            SaddrsReply {
                group,
                addresses: self.0.clone(),
            }
            .encode(),
        ))
    }
}

pub fn serve<S: Service>(service: S) -> Server {
    let config = ServerConfig {
        workers: 4,
        ..ServerConfig::default()
    };
    Server::start(
        "fake",
        ([127, 0, 0, 1], 0).into(),
        &config,
        Wire::new(service, "fake", Arc::new(Metrics::of_wire::<S::Request>())),
    )
    .unwrap()
}

/// An httpd and what is behind it.
pub struct Front {
    pub httpd: Httpd,
    pub servers: Vec<Server>,
}

impl Front {
    /// In front of these storages, named in this order.
    pub fn of(storages: Vec<Storage>) -> Front {
        Front::behind(None, storages)
    }

    /// The same, with another one named before them.
    pub fn behind(first: Option<SocketAddr>, storages: Vec<Storage>) -> Front {
        Front::configured(first, storages, |_| ())
    }

    /// The same, with settings that differ.
    pub fn configured(
        first: Option<SocketAddr>,
        storages: Vec<Storage>,
        change: impl FnOnce(&mut Config),
    ) -> Front {
        let storages: Vec<Server> = storages.into_iter().map(serve).collect();
        let named = first.into_iter().chain(storages.iter().map(Server::addr));
        let tracker = serve(Tracker(named.map(Address::from).collect()));
        let mut servers = vec![tracker];
        servers.extend(storages);
        let settings = Settings {
            trackers: vec![servers[0].addr().into()],
            user: Some("tnv001".parse().unwrap()),
            connect_timeout: Period::from_secs(2),
            storage_timeout: Period::from_secs(2),
            ..Settings::default()
        };
        let mut config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            status: StatusConfig::off(),
            ..Config::of(settings)
        };
        change(&mut config);
        Front {
            httpd: Httpd::start(config).unwrap(),
            servers,
        }
    }

    /// In front of one storage with these files.
    pub fn with(files: &[(&'static str, &[u8])]) -> Front {
        let files = files
            .iter()
            .map(|(id, content)| (*id, content.to_vec()))
            .collect();
        Front::of(vec![Storage {
            files,
            ..Storage::default()
        }])
    }

    pub fn addr(&self) -> SocketAddr {
        self.httpd.addr()
    }

    pub fn connect(&self) -> Browser {
        browse(self.addr())
    }

    /// One GET on a connection of its own.
    pub fn get(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.connect().ask("GET", path, fields)
    }
}

pub fn content(len: usize) -> Vec<u8> {
    (0..len as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

/// A file with keys, in a folder that is removed when it is dropped.
pub fn key_file(keys: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    fs::write(&file, keys).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    (folder, file)
}
