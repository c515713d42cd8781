//! Users keep their group, whichever tracker is asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

use proto::{ErrorCode, GroupName};
use test_disk::SmallDisk;
use tracker::{Config, Tracker};

use super::support::*;

const GROUPS: [&str; 3] = ["g1", "g2", "g3"];
const N_USERS: usize = 100;

fn config_of(database: &Path) -> Config {
    let mut config = config(database);
    config.groups = GROUPS.map(|group| group.parse().unwrap()).to_vec();
    config
}

/// One active storage of each group; its connection stays open.
fn storages(addr: SocketAddr) -> Vec<Client> {
    let storages = GROUPS.iter().zip(2..).map(|(group, host)| {
        let mut storage = Client::connect(addr, host);
        storage.join(group, 23000).unwrap();
        storage.beat(group).unwrap();
        storage
    });
    storages.collect()
}

/// Every user's group, asked for by 4 threads on each tracker at once; all must be told the same.
fn ask(trackers: &[SocketAddr]) -> HashMap<String, GroupName> {
    let answers: Vec<HashMap<_, _>> = thread::scope(|scope| {
        let threads: Vec<_> = trackers
            .iter()
            .cycle()
            .take(4 * trackers.len())
            .map(|&addr| {
                scope.spawn(move || {
                    let mut client = Client::connect(addr, 1);
                    let users = (0..N_USERS).map(|n| format!("user{n}"));
                    users
                        .map(|user| {
                            let group = client.saddrs(&user).unwrap().group;
                            (user, group)
                        })
                        .collect()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for other in &answers[1..] {
        assert_eq!(*other, answers[0]);
    }
    answers.into_iter().next().unwrap()
}

#[test]
fn two_trackers_asked_at_once_agree_on_every_new_user() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("tracker.db");
    let trackers = [0; 2].map(|_| start(config_of(&database)));
    let addrs = trackers.each_ref().map(Tracker::addr);
    let _storages = addrs.map(storages);
    let told = ask(&addrs);
    assert_eq!(told.len(), N_USERS);
    for group in GROUPS {
        assert!(told.values().any(|told| told.as_str() == group), "{group}");
    }
    trackers.into_iter().for_each(Tracker::shutdown);
    // What was told is what another tracker tells later.
    let later = start(config_of(&database));
    let _storages = storages(later.addr());
    assert_eq!(ask(&[later.addr()]), told);
    later.shutdown();
}

#[test]
fn the_database_holds_each_user_once() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("tracker.db");
    let tracker = start(config_of(&database));
    let _storages = storages(tracker.addr());
    ask(&[tracker.addr()]);
    tracker.shutdown();
    let rows = rusqlite::Connection::open(&database).unwrap();
    let count = |sql: &str| rows.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap();
    let n_users = N_USERS as u32;
    assert_eq!(count("SELECT count(*) FROM t_router"), n_users);
    assert_eq!(
        count("SELECT count(DISTINCT userid) FROM t_router"),
        n_users
    );
    assert_eq!(
        count("SELECT count(*) FROM t_groups_info"),
        GROUPS.len() as u32
    );
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out mounts")]
fn a_database_on_a_read_only_file_system_tells_of_known_users_and_takes_no_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), 16 << 20).unwrap();
    let serve = |user: &str| {
        let tracker = start(config_of(&folder.path().join("tracker.db")));
        let _storages = storages(tracker.addr());
        let told = Client::connect(tracker.addr(), 1).saddrs(user);
        tracker.shutdown();
        told.map(|told| told.group)
    };
    let group = serve("known").unwrap();
    disk.set_read_only(true).unwrap();
    assert_eq!(serve("known").unwrap(), group);
    assert_eq!(serve("new").unwrap_err().code, ErrorCode::Unavailable);
    disk.set_read_only(false).unwrap();
    serve("new").unwrap();
}
