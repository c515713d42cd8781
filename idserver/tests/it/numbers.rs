//! No number twice, whoever asks, and none left out without need.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

use idserver::{Config, Idserver};
use proto::ErrorCode;
use test_disk::SmallDisk;

use super::support::*;

const KEYS: [&str; 3] = ["../data", "/mnt/b", "c"];

fn with_step(database: &Path, step: u32) -> Config {
    let mut config = config(database);
    config.step = step;
    config
}

/// `count` numbers of each key on each of 4 connections to every server.
fn draw(servers: &[SocketAddr], count: usize) -> Vec<(&'static str, u64)> {
    thread::scope(|scope| {
        let callers: Vec<_> = servers
            .iter()
            .cycle()
            .take(4 * servers.len())
            .map(|&addr| {
                scope.spawn(move || {
                    let mut client = Client::connect(addr);
                    let keys = KEYS.iter().cycle().take(count * KEYS.len());
                    keys.map(|key| (*key, client.get_id(key).unwrap()))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        callers
            .into_iter()
            .flat_map(|caller| caller.join().unwrap())
            .collect()
    })
}

#[test]
fn one_server_counts_without_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let idserver = start(with_step(&folder.path().join("ids.db"), 7));
    let mut by_key: HashMap<_, Vec<u64>> = HashMap::new();
    for (key, number) in draw(&[idserver.addr()], 100) {
        by_key.entry(key).or_default().push(number);
    }
    for key in KEYS {
        let numbers = by_key.get_mut(key).unwrap();
        numbers.sort_unstable();
        assert_eq!(*numbers, (0..400).collect::<Vec<_>>(), "{key}");
    }
    idserver.shutdown();
}

#[test]
fn two_servers_on_one_database_share_no_number_across_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("ids.db");
    let mut seen = HashSet::new();
    for step in [1, 10, 3] {
        let servers = [0; 2].map(|_| start(with_step(&database, step)));
        let numbers = draw(&servers.each_ref().map(Idserver::addr), 40);
        for drawn in numbers {
            assert!(seen.insert(drawn), "{drawn:?} twice");
        }
        servers.into_iter().for_each(Idserver::shutdown);
    }
    assert_eq!(seen.len(), 3 * 2 * 4 * 40 * KEYS.len());
}

#[test]
fn a_database_that_holds_no_number_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("ids.db");
    let idserver = start(with_step(&database, 2));
    let mut client = Client::connect(idserver.addr());
    let other = rusqlite::Connection::open(&database).unwrap();
    let last = i64::MAX - 2;
    let sql = format!("INSERT INTO t_id_gen (id, id_value) VALUES ('full', {last})");
    other.execute(&sql, []).unwrap();
    assert_eq!(client.get_id("full"), Ok(last as u64));
    assert_eq!(client.get_id("full"), Ok(last as u64 + 1));
    let fault = client.get_id("full").unwrap_err();
    assert_eq!(fault.code, ErrorCode::Unavailable);
    assert_eq!(fault.message, "[vm] the numbers of key full are used up");
    idserver.shutdown();
}

#[test]
fn a_database_that_fails_is_told_and_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("ids.db");
    let idserver = start(with_step(&database, 1));
    let mut client = Client::connect(idserver.addr());
    assert_eq!(client.get_id("k"), Ok(0));
    let other = rusqlite::Connection::open(&database).unwrap();
    other
        .execute_batch("ALTER TABLE t_id_gen RENAME TO away")
        .unwrap();
    let fault = client.get_id("k").unwrap_err();
    assert_eq!(fault.code, ErrorCode::Unavailable);
    assert!(!fault.message.contains("t_id_gen"), "{fault}");
    other
        .execute_batch("ALTER TABLE away RENAME TO t_id_gen")
        .unwrap();
    assert_eq!(client.get_id("k"), Ok(1));
    idserver.shutdown();
}

#[test]
fn it_cannot_start_where_another_listens() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("ids.db");
    let first = start(config(&database));
    let second = Config {
        listen: first.addr(),
        ..config(&database)
    };
    let error = format!("{:#}", Idserver::start(second).err().unwrap());
    assert!(error.starts_with("cannot listen on 127.0.0.1:"), "{error}");
    first.shutdown();
}

#[test]
fn several_numbers_at_once_are_what_the_step_has_left() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(with_step(&dir.path().join("ids.db"), 10));
    let mut client = Client::connect(server.addr());
    assert_eq!(client.get_ids("k", 7), 0..7);
    assert_eq!(client.get_id("k"), Ok(7));
    assert_eq!(client.get_ids("k", 7), 8..10);
    assert_eq!(client.get_ids("k", 10_000), 10..20);
    server.shutdown();
}

#[test]
fn a_lost_database_is_no_reason_to_begin_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("ids.db");
    let server = start(with_step(&database, 10));
    assert_eq!(Client::connect(server.addr()).get_id("a").unwrap(), 0);
    server.shutdown();
    for suffix in ["", ".lock", ".queue"] {
        std::fs::remove_file(folder.path().join(format!("ids.db{suffix}"))).unwrap();
    }
    let refused = Idserver::start(with_step(&database, 10)).err().unwrap();
    let text = format!("{refused:#}");
    assert!(
        text.contains("tnv-idserver --config FILE --init-database"),
        "{text}"
    );
    assert!(!database.exists());
}

#[test]
fn one_peer_makes_so_many_rows_and_who_is_not_in_allow_hosts_none() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("ids.db");
    let mut config = with_step(&database, 1);
    config.new_keys_per_address = 3;
    let mut server = start(config.clone());
    let mut client = Client::connect(server.addr());
    for key in ["a", "b", "c"] {
        assert_eq!(client.get_id(key), Ok(0));
    }
    let fault = client.get_id("d").unwrap_err();
    assert_eq!(fault.code, ErrorCode::Busy);
    assert!(fault.message.contains("new_keys_per_address"), "{fault}");
    assert_eq!(client.get_id("a"), Ok(1));
    let other = rusqlite::Connection::open(&database).unwrap();
    let count = "SELECT COUNT(*) FROM t_id_gen";
    let rows: u32 = other.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 3);
    let mut strict = config.clone();
    strict.access.allow_hosts = Some(vec!["10.0.0.0/8".parse().unwrap()]);
    server.reload(&strict).unwrap();
    let fault = client.get_id("a").unwrap_err();
    assert_eq!(fault.code, ErrorCode::Forbidden);
    assert_eq!(fault.message, "[vm] 127.0.0.1 is not in allow_hosts");
    server.reload(&config).unwrap();
    assert_eq!(client.get_id("a"), Ok(2));
    server.shutdown();
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out mounts")]
fn a_database_on_a_read_only_file_system_gives_no_numbers_until_a_restart_on_a_writable_one() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), 16 << 20).unwrap();
    let config = with_step(&folder.path().join("ids.db"), 1);
    let serve = || {
        let idserver = start(config.clone());
        let number = Client::connect(idserver.addr()).get_id("k");
        idserver.shutdown();
        number
    };
    assert_eq!(serve(), Ok(0));
    disk.set_read_only(true).unwrap();
    assert_eq!(serve().unwrap_err().code, ErrorCode::Unavailable);
    disk.set_read_only(false).unwrap();
    assert_eq!(serve(), Ok(1));
}
