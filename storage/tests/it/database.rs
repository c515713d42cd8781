//! A database that is lost, and one that takes no rows.

use std::io::Write;

use daemon::status::StatusConfig;
use db::DatabaseUrl;
use proto::ErrorCode;
use storage::Storage;

use super::support::{Node, code, upload_head};
use test_disk::SmallDisk;
use test_support::until;

/// The report to the trackers.
fn report(node: &Node) -> serde_json::Value {
    let status: serde_json::Value = serde_json::from_str(&node.page("/status")).unwrap();
    find(&status, "report").unwrap().clone()
}

fn find<'a>(value: &'a serde_json::Value, key: &str) -> Option<&'a serde_json::Value> {
    let fields = value.as_object()?;
    fields
        .get(key)
        .or_else(|| fields.values().find_map(|inner| find(inner, key)))
}

#[test]
fn a_database_file_removed_under_a_storage_ends_uploads_and_is_not_made_anew() {
    let mut node = Node::start_with(|config| {
        config.status = StatusConfig::at(([127, 0, 0, 1], 0).into());
    });
    let mut client = node.client();
    client.upload("a", b"content").unwrap();
    assert_eq!(report(&node)["uploads"], true);
    let folder = node.folder.path().to_owned();
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(folder.join(format!("storage.db{suffix}"))).unwrap();
    }
    assert_eq!(code(client.upload("b", b"x")), ErrorCode::Unavailable);
    assert_eq!(client.download("a", 0, 0).unwrap(), b"content");
    // No content is waited for.
    let large = upload_head("large", 1 << 20);
    assert_eq!(code(node.client().send(&large)), ErrorCode::Unavailable);
    assert_eq!(report(&node)["uploads"], false);
    let answer = node.ask_status("/healthz");
    let health = answer.text();
    assert!(health.contains("removed, moved or replaced"), "{health}");
    assert_eq!(answer.status, 503, "{health}");
    assert_eq!(node.files().len(), 1);

    node.storage.take().unwrap().shutdown();
    let refused = Storage::start(node.config.clone()).err().unwrap();
    let text = format!("{refused:#}");
    assert!(text.contains("--init-database"), "{text}");
    // Not even the state file and the hidden one are needed to know.
    std::fs::remove_file(folder.join(".storage.db.storage")).unwrap();
    std::fs::remove_file(folder.join("storage.state")).unwrap();
    let refused = Storage::start(node.config.clone()).err().unwrap();
    assert!(
        format!("{refused:#}").contains("holds files"),
        "{refused:#}"
    );

    let jobs = storage::Config::jobs();
    let init = jobs.iter().find(|job| job.flag.name == "init-database");
    (init.unwrap().work)(&node.config, &mut Vec::new()).unwrap();
    node.storage = Some(Storage::start(node.config.clone()).unwrap());
    node.client().upload("c", b"x").unwrap();
}

#[test]
fn a_damaged_database_ends_uploads() {
    let node = Node::start_with(|config| {
        config.status = StatusConfig::at(([127, 0, 0, 1], 0).into());
    });
    let mut client = node.client();
    client.upload("a", b"content").unwrap();
    let database = node.folder.path().join("storage.db");
    let mut file = std::fs::OpenOptions::new();
    let mut file = file.write(true).open(&database).unwrap();
    file.write_all(&[0x5a; 4096]).unwrap();
    let log = std::fs::OpenOptions::new()
        .write(true)
        .open(node.folder.path().join("storage.db-wal"));
    log.unwrap().set_len(0).unwrap();
    until("the damage is found", || report(&node)["uploads"] == false);
    assert_eq!(code(client.upload("b", b"x")), ErrorCode::Unavailable);
    let health = node.page("/healthz");
    assert!(health.contains("it is damaged"), "{health}");
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out mounts")]
fn a_storage_starts_on_a_database_and_a_state_file_that_are_mounted_read_only() {
    let mut mounted = None;
    let mut node = Node::start_with(|config| {
        config.status = StatusConfig::at(([127, 0, 0, 1], 0).into());
        let folder = config.state_file.with_file_name("lib");
        std::fs::create_dir(&folder).unwrap();
        mounted = Some(SmallDisk::mount(&folder, 16 << 20).unwrap());
        config.state_file = folder.join("storage.state");
        config.database = DatabaseUrl::Sqlite(folder.join("storage.db"));
    });
    // Unmounted before the folder of the node is removed.
    let disk = mounted.unwrap();
    node.client().upload("a", b"content").unwrap();
    let state = std::fs::read(&node.config.state_file).unwrap();
    node.storage.take().unwrap().shutdown();
    until("it writes no file", || disk.set_read_only(true).is_ok());
    node.storage = Some(Storage::start(node.config.clone()).unwrap());

    assert_eq!(node.client().download("a", 0, 0).unwrap(), b"content");
    assert_eq!(code(node.client().size("b")), ErrorCode::NotFound);
    // No content is waited for.
    let large = upload_head("large", 1 << 20);
    assert_eq!(code(node.client().send(&large)), ErrorCode::Unavailable);
    assert_eq!(
        code(node.client().upload("b", b"x")),
        ErrorCode::Unavailable
    );
    assert_eq!(code(node.client().delete("a")), ErrorCode::Unavailable);
    assert_eq!(node.files().len(), 1);
    let told = report(&node);
    assert_eq!(
        (&told["uploads"], &told["downloads"]),
        (&false.into(), &true.into())
    );
    let health = node.page("/healthz");
    assert!(health.starts_with("failing"), "{health}");
    assert!(health.contains("mount it writable and restart"), "{health}");
    // The lock of the state file holds there, too.
    let second = Storage::start(node.config.clone()).err().unwrap();
    assert!(
        format!("{second:#}").contains("another storage uses it"),
        "{second:#}"
    );

    node.storage.take().unwrap().shutdown();
    disk.set_read_only(false).unwrap();
    node.storage = Some(Storage::start(node.config.clone()).unwrap());
    node.client().upload("b", b"x").unwrap();
    assert_eq!(report(&node)["uploads"], true);
    node.client().delete("a").unwrap();
    assert_eq!(std::fs::read(&node.config.state_file).unwrap(), state);
}
