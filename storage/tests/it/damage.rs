//! Full disks, missing parts, and what crashes leave behind.

use std::fs::File;
use std::path::Path;

use base::units::ByteSize;
use daemon::status::StatusConfig;
use proto::ErrorCode;
use storage::Reserve;

use super::support::{Client, Node, code, make_fifo};
use test_support::until;

#[test]
fn below_the_reserved_space_nothing_is_taken() {
    let node = Node::start_with(|config| {
        config.reserved_space = Reserve::Bytes(ByteSize::new(1 << 60));
    });
    let mut client = node.client();
    assert_eq!(code(client.upload("a", b"content")), ErrorCode::NoSpace);
    assert!(node.files().is_empty());
    assert_eq!(code(client.size("a")), ErrorCode::NotFound);
}

#[test]
fn a_file_larger_than_the_disk_is_refused_at_once() {
    let node = Node::start();
    let mut client = node.client();
    let head = super::support::upload_head("huge", 1 << 60);
    assert_eq!(code(client.send(&head)), ErrorCode::NoSpace);
    assert!(node.files().is_empty());
}

#[test]
fn without_an_idserver_uploads_are_unavailable_and_downloads_go_on() {
    let mut node = Node::start();
    let mut client = node.client();
    client.upload("a", b"content").unwrap();
    node.idserver.take().unwrap().shutdown();
    // The numbers at hand last for a while.
    let uploads = (1..=100).map(|n| client.upload(&format!("b{n}"), b"content"));
    let (stored, refused): (Vec<_>, Vec<_>) = uploads.partition(Result::is_ok);
    assert_eq!(stored.len(), 99);
    for refusal in refused {
        assert_eq!(code(refusal), ErrorCode::Unavailable);
    }
    assert_eq!(client.download("a", 0, 0).unwrap(), b"content");
    assert_eq!(node.files().len(), 100);
}

#[test]
fn a_stored_file_that_is_not_what_its_row_says_is_damaged() {
    let node = Node::start();
    let mut client = node.client();
    client.upload("short", b"content").unwrap();
    File::options()
        .write(true)
        .open(&node.files()[0])
        .unwrap()
        .set_len(3)
        .unwrap();
    assert_eq!(code(client.download("short", 0, 0)), ErrorCode::Damaged);
    assert_eq!(code(client.size("short")), ErrorCode::Damaged);
    std::fs::remove_file(&node.files()[0]).unwrap();
    assert_eq!(code(client.download("short", 0, 0)), ErrorCode::Damaged);
    client.delete("short").unwrap();
    assert_eq!(code(client.size("short")), ErrorCode::NotFound);
}

/// Puts something else in the place of a file.
fn replace(path: &Path, what: &str) {
    std::fs::remove_file(path).unwrap();
    match what {
        "fifo" => make_fifo(path),
        "folder" => std::fs::create_dir(path).unwrap(),
        "link" => std::os::unix::fs::symlink("/etc/hostname", path).unwrap(),
        "socket" => drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
        other => panic!("{other}"),
    }
}

#[test]
fn something_else_in_the_place_of_a_file_is_damage_and_holds_nobody() {
    for what in ["fifo", "folder", "link", "socket"] {
        let node = Node::start();
        let mut client = node.client();
        client.upload("x", b"content").unwrap();
        // Its row is remembered.
        client.size("x").unwrap();
        let path = node.files().remove(0);
        replace(&path, what);
        for code in [
            code(client.download("x", 0, 0)),
            code(client.size("x")),
            code(client.stat("x")),
        ] {
            assert_eq!(code, ErrorCode::Damaged, "{what}");
        }
        if what == "folder" {
            assert_eq!(code(client.delete("x")), ErrorCode::Damaged);
            std::fs::remove_dir(&path).unwrap();
        }
        client.delete("x").unwrap();
        assert!(node.files().is_empty(), "{what}");
        assert_eq!(code(client.size("x")), ErrorCode::NotFound);
    }
}

#[test]
fn a_file_in_the_place_of_a_folder_is_damage() {
    let node = Node::start();
    let mut client = node.client();
    client.upload("x", b"content").unwrap();
    let folder = node.files()[0].parent().unwrap().to_owned();
    std::fs::remove_dir_all(&folder).unwrap();
    File::create(&folder).unwrap();
    assert_eq!(code(client.download("x", 0, 0)), ErrorCode::Damaged);
    assert_eq!(code(client.size("x")), ErrorCode::Damaged);
}

#[test]
fn damage_is_told_until_the_file_is_good_or_deleted() {
    let node = Node::start_with(|config| {
        config.status = StatusConfig::at(([127, 0, 0, 1], 0).into());
    });
    let mut client = node.client();
    let resize = |path: &Path, len| {
        let file = File::options().write(true).open(path).unwrap();
        file.set_len(len).unwrap();
    };
    let mut paths = Vec::new();
    for file in ["a", "b"] {
        client.upload(file, b"content").unwrap();
        let new = node.files().into_iter().find(|path| !paths.contains(path));
        paths.push(new.unwrap());
    }
    for (file, path) in ["a", "b"].into_iter().zip(&paths) {
        resize(path, 3);
        assert_eq!(code(client.size(file)), ErrorCode::Damaged);
        assert_eq!(code(client.size(file)), ErrorCode::Damaged);
    }
    let health = node.page("/healthz");
    assert!(health.contains("2 files are damaged, such as"), "{health}");
    let metrics = node.page("/metrics");
    assert!(
        metrics.contains("tnv_storage_damage_found_total 4"),
        "{metrics}"
    );
    assert!(metrics.contains("tnv_storage_damaged_files 2"), "{metrics}");
    resize(&paths[0], 7);
    client.size("a").unwrap();
    let health = node.page("/healthz");
    assert!(health.contains("a file is damaged: "), "{health}");
    client.delete("b").unwrap();
    let health = node.page("/healthz");
    assert!(!health.contains("damaged"), "{health}");
}

#[test]
fn a_start_finishes_deletions_of_its_own_group() {
    let mut node = Node::start();
    for file in ["mine", "other"] {
        node.client().upload(file, b"content").unwrap();
    }
    node.storage.take().unwrap().shutdown();
    // As a crash between the two steps leaves them.
    let database = node.folder.path().join("storage.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    let mark = |file: &str, group: &str| {
        let sql = "UPDATE t_file_02 SET status = 1, group_name = ?2 WHERE id = ?1";
        assert_eq!(connection.execute(sql, (file, group)).unwrap(), 1);
    };
    mark("mine", "group001");
    mark("other", "group002");
    node.storage = Some(storage::Storage::start(node.config.clone()).unwrap());
    until("the sweep is done", || node.files().len() == 1);
    let left = || -> i64 {
        connection
            .query_row("SELECT count(*) FROM t_file_02", (), |row| row.get(0))
            .unwrap()
    };
    until("the row is gone", || left() == 1);
    assert_eq!(code(node.client().size("other")), ErrorCode::NotFound);
}

#[test]
fn an_upload_over_the_remains_of_a_deletion_has_them_removed() {
    let node = Node::start();
    let mut client = node.client();
    client.upload("again", b"the first").unwrap();
    let first = node.files();
    // As a peer leaves it that crashed between the two steps, long after our last look.
    let database = node.folder.path().join("storage.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    let sql = "UPDATE t_file_02 SET status = 1 WHERE id = 'again'";
    assert_eq!(connection.execute(sql, ()).unwrap(), 1);
    let refused = client.upload("again", b"the second").unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unavailable, "{refused}");
    assert!(refused.message.contains("still being deleted"), "{refused}");
    until("the remains are gone", || {
        node.client().upload("again", b"the second").is_ok()
    });
    assert_eq!(client.download("again", 0, 0).unwrap(), b"the second");
    assert!(!first[0].exists());
    assert_eq!(node.files().len(), 1);
}

#[test]
fn folders_that_were_tidied_away_are_made_again() {
    let node = Node::start();
    let mut client = node.client();
    client.upload("a", b"content").unwrap();
    client.delete("a").unwrap();
    std::fs::remove_dir_all(node.folder.path().join("data/000")).unwrap();
    client.upload("b", b"content").unwrap();
    assert_eq!(client.download("b", 0, 0).unwrap(), b"content");
}

#[test]
fn nothing_is_written_beneath_a_volume_that_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let idserver = super::support::idserver();
    let mut config = super::support::config(folder.path(), idserver.addr());
    config.require_marker = true;
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let refused = storage::Storage::start(config.clone()).err().unwrap();
    assert!(
        format!("{refused:#}").contains("has no marker"),
        "{refused:#}"
    );

    let init = || {
        let mut out = Vec::new();
        (storage::Config::jobs()[0].work)(&config, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert!(init().ends_with("marked as a store path of group001\n"));
    assert!(init().contains("was marked before"));
    let node = storage::Storage::start(config.clone()).unwrap();
    let mut client = Client::connect(node.addr());
    client.upload("a", b"content").unwrap();

    // What an unmounted volume leaves: another folder, without the marker.
    let away = folder.path().join("away");
    std::fs::rename(&data, &away).unwrap();
    std::fs::create_dir(&data).unwrap();
    let mut n = 0;
    until("uploads are refused", || {
        n += 1;
        code_of(client.upload(&format!("n{n}"), b"x")) == Some(ErrorCode::ReadOnly)
    });
    assert_eq!(code(client.download("a", 0, 0)), ErrorCode::Unavailable);
    assert_eq!(code(client.delete("a")), ErrorCode::Unavailable);
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0);

    std::fs::remove_dir(&data).unwrap();
    std::fs::rename(&away, &data).unwrap();
    until("it is back", || {
        Client::connect(node.addr()).upload("back", b"x").is_ok()
    });
    assert_eq!(client.download("a", 0, 0).unwrap(), b"content");
    node.shutdown();
    idserver.shutdown();
}

fn code_of(result: Result<(), proto::Fault>) -> Option<ErrorCode> {
    result.err().map(|fault| fault.code)
}
