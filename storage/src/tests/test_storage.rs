//! A storage for tests, with an idserver of its own: on SQLite, in a folder that goes with it.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use base::units::ByteSize;
use db::DatabaseUrl;
use net::wire::Content;
use net::{PeerProbe, Server};
use proto::FileKey;
use proto::storage::{Attributes, Store, Upload};
use tempfile::TempDir;

use crate::config::{Config, Reserve, Settings};
use crate::files::requester::Requester;
use crate::files::upload::{self, IncomingFile};
use crate::globals::Globals;
use crate::test_idserver::idserver;

pub(crate) struct TestStorage {
    pub(crate) globals: Arc<Globals>,
    idserver: Option<Server>,
    pub(crate) folder: TempDir,
}

/// The settings of a storage with its files, and store paths of these names, in a folder.
pub(crate) fn settings_in(folder: &Path, store_paths: &[&str]) -> Settings {
    let path_of = |name: &&str| folder.join(name).to_str().unwrap().to_owned();
    Settings {
        state_file: folder.join("storage.state"),
        store_paths: store_paths.iter().map(path_of).collect(),
        database: DatabaseUrl::Sqlite(folder.join("storage.db")),
        reserved_space: Reserve::Bytes(ByteSize::new(0)),
        ..Settings::default()
    }
}

impl TestStorage {
    pub(crate) fn new() -> TestStorage {
        let folder = tempfile::tempdir().unwrap();
        let idserver = idserver();
        let config = Config::of(Settings {
            idservers: vec![idserver.addr().into()],
            ..settings_in(folder.path(), &["data"])
        });
        TestStorage {
            globals: Globals::open(config).unwrap(),
            idserver: Some(idserver),
            folder,
        }
    }

    /// An upload that has sent all content.
    pub(crate) fn begin(&self, id: &str) -> IncomingFile {
        let attributes = Attributes::default();
        let upload = Upload {
            key: key(id),
            size: 7,
        };
        let mut incoming =
            upload::begin(&self.globals, Store { upload, attributes }, requester()).unwrap();
        incoming.write(b"content").unwrap();
        incoming
    }
}

impl Drop for TestStorage {
    fn drop(&mut self) {
        self.globals.files.close();
        self.idserver.take().into_iter().for_each(Server::shutdown);
    }
}

pub(crate) fn key(id: &str) -> FileKey {
    FileKey {
        app: "tnvideo".parse().unwrap(),
        user: "tnv001".parse().unwrap(),
        file: id.parse().unwrap(),
    }
}

/// A client that is there.
pub(crate) fn requester() -> Requester {
    Requester::new(
        PeerProbe::default(),
        Ipv4Addr::LOCALHOST.into(),
        &Arc::default(),
    )
}
