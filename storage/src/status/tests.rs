use std::fs;

use db::DatabaseUrl;
use test_support::until;

use super::*;
use crate::config::{Config, Settings};
use crate::disks::store_path::PathHealth;
use crate::state::arrival_clock::PAUSE_MIN;
use crate::state::identity::known_folders;

#[test]
fn a_folder_that_takes_no_tag_at_the_start_gets_it_later_and_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let config = Config::of(Settings {
        state_file: folder.path().join("storage.state"),
        store_paths: vec![data.to_str().unwrap().to_owned()],
        database: DatabaseUrl::Sqlite(folder.path().join("storage.db")),
        ..Settings::default()
    });
    // As on a full disk, the tag cannot be written.
    let obstacle = data.join(".tnv-folder");
    fs::create_dir_all(&obstacle).unwrap();
    let globals = Globals::open(config.clone()).unwrap();
    let remembered = || known_folders(&config.state_file).unwrap();
    assert!(remembered().is_empty());
    let jobs = Jobs::start(&globals).unwrap();
    let is_warned = || {
        globals
            .warnings
            .list()
            .iter()
            .any(|w| w.contains("has no tag"))
    };
    until("an operator is warned", is_warned);
    // A process that runs is told from one that stood still, also while no request comes.
    until("a job beats", || {
        let began = boot_time();
        until("longer than a pause", || {
            boot_time() > began + 2 * PAUSE_MIN
        });
        let now = boot_time();
        globals.arrivals.arrival(now) == now
    });
    fs::remove_dir(&obstacle).unwrap();
    until("the folder is remembered", || remembered().len() == 1);
    until("the warning ends", || !is_warned());
    let running = thread::join_until(jobs.stop(), Instant::now() + Duration::from_secs(60));
    assert!(running.is_empty(), "{running:?}");
    globals.files.close();
    drop(globals);
    // After a restart an empty mount point is not taken for the folder.
    fs::remove_file(&obstacle).unwrap();
    let globals = Globals::open(config).unwrap();
    let health = globals.paths.iter().next().unwrap().health();
    assert!(matches!(health, PathHealth::Away(_)), "{health:?}");
    globals.files.close();
}
