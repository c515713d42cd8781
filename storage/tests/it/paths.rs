//! Rows whose paths lead elsewhere, folders that are others than before, and jobs that only look.

use std::fs::{self, FileTimes};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use daemon::status::StatusConfig;
use proto::ErrorCode;
use proto::storage_path::storage_path;
use storage::Config;
use test_support::until;

use super::support::{Node, code};

/// Has the row of a file name another path, and tells the one it had.
fn move_row(node: &Node, file: &str, path: &str, size: i64) -> String {
    let database = node.folder.path().join("storage.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    let sql = "SELECT file_path FROM t_file_02 WHERE id = ?1";
    let before = connection.query_row(sql, [file], |row| row.get(0)).unwrap();
    let sql = "UPDATE t_file_02 SET file_path = ?2, file_size = ?3 WHERE id = ?1";
    let changed = connection.execute(sql, (file, path, size)).unwrap();
    assert_eq!(changed, 1);
    before
}

fn store(node: &Node) -> PathBuf {
    PathBuf::from(&node.config.store_paths[0])
}

#[test]
fn a_row_leads_to_no_file_outside_of_the_store_paths() {
    let node = Node::start();
    let secret = node.folder.path().join("secret");
    fs::write(&secret, b"content").unwrap();
    let data = node.config.store_paths[0].clone();
    symlink(&secret, store(&node).join("link")).unwrap();
    symlink(node.folder.path(), store(&node).join("up")).unwrap();
    let paths = [
        secret.to_str().unwrap().to_owned(),
        format!("{data}/../secret"),
        format!("{data}//{}", secret.display()),
        format!("{data}/link"),
        format!("{data}/up/secret"),
        format!("{data}x/secret"),
        "secret".to_owned(),
        String::new(),
    ];
    let mut client = node.client();
    for (n, path) in paths.iter().enumerate() {
        let file = format!("file{n}");
        client.upload(&file, b"content").unwrap();
        move_row(&node, &file, path, 7);
        assert_eq!(
            code(client.download(&file, 0, 0)),
            ErrorCode::Damaged,
            "{path}"
        );
        assert!(client.size(&file).is_err(), "{path}");
        let _ = client.delete(&file);
        assert!(secret.exists(), "{path}");
    }
}

#[test]
fn a_link_in_the_place_of_a_folder_is_not_followed() {
    let node = Node::start();
    let mut client = node.client();
    client.upload("a", b"content").unwrap();
    let (folder, away) = (
        store(&node).join("000/000"),
        node.folder.path().join("away"),
    );
    fs::rename(&folder, &away).unwrap();
    symlink(&away, &folder).unwrap();
    assert_eq!(code(client.download("a", 0, 0)), ErrorCode::Damaged);
    assert_eq!(code(client.size("a")), ErrorCode::Damaged);
    assert_eq!(code(client.delete("a")), ErrorCode::Unavailable);
    assert_eq!(code(client.upload("b", b"content")), ErrorCode::ReadOnly);
    let files = fs::read_dir(away.join("000")).unwrap().count();
    assert_eq!(files, 1, "neither removed nor made");
}

#[test]
fn files_of_former_store_paths_are_read_and_removed_and_none_is_made() {
    let mut node = Node::start();
    for file in ["kept", "moved"] {
        node.client().upload(file, b"content").unwrap();
    }
    let old = node.folder.path().join("old");
    fs::create_dir_all(old.join("000")).unwrap();
    fs::write(old.join("000/f"), b"content").unwrap();
    move_row(&node, "moved", &format!("{}/000/f", old.display()), 7);
    assert_eq!(
        code(node.client().download("moved", 0, 0)),
        ErrorCode::Damaged
    );
    node.config.former_store_paths = vec![old.to_str().unwrap().to_owned()];
    node.restart();
    let mut client = node.client();
    assert_eq!(client.download("moved", 0, 0).unwrap(), b"content");
    assert_eq!(client.size("moved").unwrap(), 7);
    for n in 0..4 {
        client.upload(&format!("new{n}"), b"content").unwrap();
    }
    assert_eq!(fs::read_dir(&old).unwrap().count(), 1);
    client.delete("moved").unwrap();
    assert!(!old.join("000/f").exists());
}

#[test]
fn a_replaced_store_path_is_neither_read_nor_written_until_the_folder_is_back() {
    let node = Node::start();
    let mut client = node.client();
    client.upload("a", b"content").unwrap();
    let (data, away) = (store(&node), node.folder.path().join("away"));
    fs::rename(&data, &away).unwrap();
    fs::create_dir(&data).unwrap();
    for n in 0..3 {
        assert!(client.upload(&format!("n{n}"), b"x").is_err());
        assert_eq!(code(client.download("a", 0, 0)), ErrorCode::Unavailable);
        assert_eq!(code(client.delete("a")), ErrorCode::Unavailable);
    }
    until(
        "the storage knows",
        || matches!(client.upload("n", b"x"), Err(fault) if fault.code == ErrorCode::ReadOnly),
    );
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
    // As after a remount: other numbers, the same folder by its tag.
    fs::copy(away.join(".tnv-folder"), data.join(".tnv-folder")).unwrap();
    until("it is taken for the same folder", || {
        node.client().upload("on-it", b"x").is_ok()
    });
    fs::remove_dir_all(&data).unwrap();
    fs::rename(&away, &data).unwrap();
    until("the folder is back", || {
        node.client().upload("back", b"x").is_ok()
    });
    assert_eq!(client.download("a", 0, 0).unwrap(), b"content");
}

#[test]
fn a_store_path_that_was_replaced_while_the_storage_was_stopped_is_noticed() {
    let mut node = Node::start_with(|config| {
        config.status = StatusConfig::at(([127, 0, 0, 1], 0).into());
    });
    node.client().upload("a", b"content").unwrap();
    let (data, away) = (store(&node), node.folder.path().join("away"));
    node.storage.take().unwrap().shutdown();
    fs::rename(&data, &away).unwrap();
    let start = |node: &mut Node| {
        node.storage = Some(storage::Storage::start(node.config.clone()).unwrap());
    };
    let refuses = |node: &Node| {
        let mut client = node.client();
        assert_eq!(code(client.upload("b", b"x")), ErrorCode::ReadOnly);
        assert_eq!(code(client.download("a", 0, 0)), ErrorCode::Unavailable);
        node.page("/healthz")
    };
    // Nothing is in its place, as when a volume is not mounted and its mount point is gone.
    start(&mut node);
    refuses(&node);
    assert!(!data.exists(), "it was made");
    node.storage.take().unwrap().shutdown();
    // An empty folder, and one of another storage.
    for tag in [None, Some("tnv folder 1\nid 00\n")] {
        fs::create_dir(&data).unwrap();
        if let Some(tag) = tag {
            fs::write(data.join(".tnv-folder"), tag).unwrap();
        }
        start(&mut node);
        let health = refuses(&node);
        assert!(
            health.contains("another folder is in its place"),
            "{health}"
        );
        assert!(health.contains("--init-store"), "{health}");
        assert_eq!(node.files().len(), 0);
        node.restart();
        refuses(&node);
        node.storage.take().unwrap().shutdown();
        fs::remove_dir_all(&data).unwrap();
    }
    // The right one comes back to a storage that runs.
    fs::create_dir(&data).unwrap();
    start(&mut node);
    refuses(&node);
    fs::remove_dir(&data).unwrap();
    fs::rename(&away, &data).unwrap();
    until("the folder is back", || {
        node.client().upload("back", b"x").is_ok()
    });
    assert_eq!(node.client().download("a", 0, 0).unwrap(), b"content");
}

#[test]
fn an_operator_replaces_a_store_path_with_init_store() {
    let mut node = Node::start();
    node.client().upload("a", b"content").unwrap();
    let data = store(&node);
    let init = |node: &Node| {
        let mut out = Vec::new();
        let done = (Config::jobs()[0].work)(&node.config, &mut out);
        done.map(|_| String::from_utf8(out).unwrap())
    };
    let marked = init(&node).unwrap();
    assert!(!marked.contains("replaces"), "{marked}");
    fs::rename(&data, node.folder.path().join("away")).unwrap();
    fs::create_dir(&data).unwrap();
    let running = format!("{:#}", init(&node).unwrap_err());
    assert!(running.contains("another storage uses it"), "{running}");
    node.storage.take().unwrap().shutdown();
    let replaced = init(&node).unwrap();
    assert!(replaced.contains("replaces the one before"), "{replaced}");
    node.storage = Some(storage::Storage::start(node.config.clone()).unwrap());
    node.client().upload("b", b"content").unwrap();
    // With require_marker the folder must be the one that is known, too.
    node.config.require_marker = true;
    node.restart();
    node.client().upload("c", b"content").unwrap();
    node.storage.take().unwrap().shutdown();
    fs::remove_file(data.join(".tnv-folder")).unwrap();
    let refused = storage::Storage::start(node.config.clone()).err().unwrap();
    let refused = format!("{refused:#}");
    assert!(
        refused.contains("another folder is in its place"),
        "{refused}"
    );
}

#[test]
fn a_path_that_is_taken_is_passed_over_and_its_file_left_as_it_is() {
    let node = Node::start_with(|config| {
        config.status = StatusConfig::at(([127, 0, 0, 1], 0).into());
    });
    // The first two numbers, whatever second it is.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap().as_secs();
    let data = store(&node);
    let mut taken = Vec::new();
    for number in [0, 1] {
        for time in now..now + 120 {
            let path = storage_path(data.to_str().unwrap(), number, time);
            fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
            fs::write(&path, b"another's").unwrap();
            taken.push(path);
        }
    }
    node.client().upload("a", b"content").unwrap();
    assert_eq!(node.client().download("a", 0, 0).unwrap(), b"content");
    for path in &taken {
        assert_eq!(fs::read(path).unwrap(), b"another's");
    }
    assert_eq!(node.files().len(), taken.len() + 1, "temporary files stay");
    let metrics = node.page("/metrics");
    let counted = "tnv_storage_taken_paths_total 2";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn a_folder_that_refuses_files_leaves_the_store_path_in_use() {
    let node = Node::start();
    let mut client = node.client();
    client.upload("a", b"content").unwrap();
    let (folder, away) = (
        store(&node).join("000/000/000"),
        node.folder.path().join("away"),
    );
    fs::rename(&folder, &away).unwrap();
    fs::write(&folder, b"no folder").unwrap();
    for n in 0..5 {
        client.upload(&format!("b{n}"), b"content").unwrap();
    }
    let folders = fs::read_dir(folder.parent().unwrap()).unwrap();
    let others = folders.map(|entry| entry.unwrap().path());
    let n_files = others.filter_map(|other| Some(fs::read_dir(other).ok()?.count()));
    assert_eq!(n_files.sum::<usize>(), 5);
    assert_eq!(fs::read_dir(&away).unwrap().count(), 1);
    fs::remove_file(&folder).unwrap();
    fs::rename(&away, &folder).unwrap();
    assert_eq!(client.download("a", 0, 0).unwrap(), b"content");
}

#[test]
fn a_job_that_only_looks_writes_nothing() {
    let mut node = Node::start();
    node.client().upload("a", b"content").unwrap();
    node.storage.take().unwrap().shutdown();
    let data = store(&node);
    fs::remove_file(data.join(".tnv-folder")).unwrap();
    // It would miss the tag that it knows.
    fs::remove_file(&node.config.state_file).unwrap();
    // A file that is made and removed shows in the time of its folder.
    let past = SystemTime::now() - Duration::from_secs(3600);
    let times = FileTimes::new().set_modified(past);
    fs::File::open(&data).unwrap().set_times(times).unwrap();
    let modified = || fs::metadata(&data).unwrap().modified().unwrap();
    let before = modified();
    let mut jobs = Config::jobs().into_iter();
    let job = jobs.find(|job| job.flag.name == "list-orphans").unwrap();
    (job.work)(&node.config, &mut Vec::new()).unwrap();
    assert_eq!(modified(), before);
    assert_eq!(fs::read_dir(&data).unwrap().count(), 1);
}
