//! Folders that refuse a file while its upload runs.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use base::units::ByteSize;
use db::DatabaseUrl;
use net::{PeerProbe, Server};
use rustix::io::Errno;
use tempfile::TempDir;

use super::*;
use crate::config::{Config, Reserve};
use crate::disks::path_health::PathHealth;
use crate::test_idserver::idserver;

struct Setting {
    globals: Arc<Globals>,
    idserver: Option<Server>,
    folder: TempDir,
}

impl Drop for Setting {
    fn drop(&mut self) {
        self.globals.files.close();
        self.idserver.take().into_iter().for_each(Server::shutdown);
    }
}

impl Setting {
    fn new() -> Setting {
        let folder = tempfile::tempdir().unwrap();
        let idserver = idserver();
        let config = Config {
            state_file: folder.path().join("storage.state"),
            idservers: vec![idserver.addr().into()],
            store_paths: vec![folder.path().join("data").to_str().unwrap().to_owned()],
            database: DatabaseUrl::Sqlite(folder.path().join("storage.db")),
            reserved_space: Reserve::Bytes(ByteSize::new(0)),
            ..Config::default()
        };
        Setting {
            globals: Globals::open(config).unwrap(),
            idserver: Some(idserver),
            folder,
        }
    }

    /// An upload that has sent all content.
    fn begin(&self, id: &str) -> IncomingFile {
        let key = FileKey {
            app: "tnvideo".parse().unwrap(),
            user: "tnv001".parse().unwrap(),
            file: id.parse().unwrap(),
        };
        let upload = Upload { key, size: 7 };
        let requester = Requester::new(
            PeerProbe::default(),
            Ipv4Addr::LOCALHOST.into(),
            &Arc::default(),
        );
        let mut incoming = begin(&self.globals, upload, requester).unwrap();
        incoming.write(b"content").unwrap();
        incoming
    }

    fn health(&self) -> PathHealth {
        self.globals.paths.iter().next().unwrap().health()
    }

    /// A folder of files.
    fn files(&self, digits: &str) -> std::path::PathBuf {
        self.folder.path().join("data/000/000").join(digits)
    }
}

fn finish(incoming: IncomingFile) -> Result<(String, FolderId), Fault> {
    let IncomingFile {
        globals,
        store_path,
        file,
        ..
    } = incoming;
    make_final(&globals, &store_path, file)
}

#[test]
fn a_folder_that_refuses_the_final_name_is_avoided_and_the_store_path_takes_uploads() {
    let setting = Setting::new();
    let uploads = [setting.begin("a"), setting.begin("b")];
    // Nothing leads through a link: as after a chmod, the folder refuses.
    let files = setting.files("000");
    fs::rename(&files, setting.folder.path().join("moved")).unwrap();
    std::os::unix::fs::symlink("../../moved", &files).unwrap();
    for upload in uploads {
        let path = upload.path.clone();
        let store_path = Arc::clone(&upload.store_path);
        assert_eq!(finish(upload).unwrap_err().code, ErrorCode::ReadOnly);
        assert!(store_path.avoids(&path), "{path}");
        assert_eq!(setting.health(), PathHealth::Writable);
    }
    let (path, _) = finish(setting.begin("c")).unwrap();
    assert!(Path::new(&path).starts_with(setting.files("001")), "{path}");
}

#[test]
fn a_folder_that_refuses_a_file_whose_path_was_taken_is_passed_over() {
    let setting = Setting::new();
    let upload = setting.begin("a");
    fs::write(&upload.path, "of another upload").unwrap();
    // The next path is in the next folder, which is none.
    assert!(upload.store_path.avoid(&upload.path, &Errno::ACCESS.into()));
    fs::write(setting.files("001"), "no folder").unwrap();
    let (path, _) = finish(upload).unwrap();
    assert!(Path::new(&path).starts_with(setting.files("002")), "{path}");
    assert_eq!(setting.health(), PathHealth::Writable);
}
