//! On MariaDB and Galera.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use test_mariadb::{Galera, Mariadb};

use super::*;

mod beside_cpp;

fn mysql_config(url: &str, server: &Mariadb) -> Config {
    let mut config = Config::of(Settings {
        database: url.parse().unwrap(),
        ..Settings::default()
    });
    config.mysql.password_file = Some(server.password_file());
    config
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn mysql() {
    let server = test_mariadb::shared();
    server.create_database("suite");
    let config = mysql_config(&server.url("suite"), server);
    assert_eq!(init(&config).unwrap().len(), 2);
    suite(&*open(&config).unwrap(), &|key, value| {
        let sql = format!("INSERT INTO t_id_gen SET id='{key}', id_value={value}");
        server.execute("suite", &sql);
    });
    assert_eq!(
        init(&config).unwrap(),
        ["tables of idserver are at version 1"]
    );
    let again = open(&config).unwrap();
    assert_eq!(again.reserve(&key("../data"), 1).unwrap(), Some(108..109));
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_table_of_the_cpp_system_is_used() {
    let server = test_mariadb::shared();
    server.create_database("of_cpp");
    let table = "CREATE TABLE t_id_gen (id varchar(64) primary key, id_value bigint,
        create_time timestamp default current_timestamp,
        update_time timestamp default current_timestamp on update current_timestamp)
        ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
        INSERT INTO t_id_gen SET id='../data', id_value=300;
        INSERT INTO t_id_gen SET id='none', id_value=NULL";
    server.execute("of_cpp", table);
    let config = mysql_config(&server.url("of_cpp"), server);
    init(&config).unwrap();
    let ids = open(&config).unwrap();
    // A C++ idserver may hand out the numbers in front.
    assert_eq!(ids.reserve(&key("../data"), 100).unwrap(), Some(400..500));
    assert_eq!(ids.reserve(&key("none"), 100).unwrap(), None);
    // The collation takes these for the same: one row, and no number twice.
    assert_eq!(ids.reserve(&key("../DATA"), 100).unwrap(), Some(600..700));
    let read = "SELECT id_value FROM t_id_gen WHERE id='../data'";
    assert_eq!(server.query("of_cpp", read), ["700"]);
}

/// Tables in a character set that has no emoji, as old servers make them.
#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_key_that_the_table_cannot_hold_is_refused_for_good() {
    let server = test_mariadb::shared();
    for charset in ["utf8mb3", "latin1"] {
        let name = format!("of_{charset}");
        server.create_database(&name);
        let table = format!(
            "CREATE TABLE t_id_gen (id varchar(64) primary key, id_value bigint,
            create_time timestamp default current_timestamp,
            update_time timestamp default current_timestamp on update current_timestamp)
            ENGINE=InnoDB DEFAULT CHARSET={charset}"
        );
        server.execute(&name, &table);
        let config = mysql_config(&server.url(&name), server);
        init(&config).unwrap();
        let ids = open(&config).unwrap();
        let emoji = key("\u{1f4a5}");
        assert!(!ids.has(&emoji).unwrap());
        let refused = ids.reserve(&emoji, 100);
        assert!(matches!(refused, Err(DbError::Unfit { .. })), "{refused:?}");
        assert_eq!(ids.reserve(&key("../data"), 100).unwrap(), Some(0..100));
        ids.availability().full().unwrap();
    }
}

/// Steps one key with two idservers that prefer different nodes while a node is killed.
#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn no_number_is_promised_twice_when_a_node_is_killed() {
    let mut cluster = Galera::start(3);
    cluster.nodes[0].create_database("ids");
    let config = |order: &[usize]| mysql_config(&cluster.url(order, "ids"), &cluster.nodes[0]);
    init(&config(&[0])).unwrap();
    let idservers = [[0, 1, 2], [1, 0, 2]].map(|order| open(&config(&order)).unwrap());
    let deadline = Instant::now() + Duration::from_secs(12);
    let kill_at = Instant::now() + Duration::from_secs(3);
    let (all, longest) = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                scope.spawn({
                    let ids = &idservers[n % 2];
                    move || steps_until(&**ids, deadline)
                })
            })
            .collect();
        while Instant::now() < kill_at {
            thread::park_timeout(kill_at - Instant::now());
        }
        cluster.nodes[0].kill();
        let results = threads.into_iter().map(|t| t.join().unwrap());
        results.fold(
            (Vec::new(), Duration::ZERO),
            |(mut all, longest), (firsts, pause)| {
                assert!(pause < Duration::from_secs(30), "{pause:?}");
                all.extend(firsts);
                (all, longest.max(pause))
            },
        )
    });
    let distinct: HashSet<u64> = all.iter().copied().collect();
    assert_eq!(distinct.len(), all.len());
    assert!(distinct.iter().all(|first| first % 10 == 0));
    println!("{} steps, none twice, longest pause {longest:?}", all.len());
}

/// The first numbers of all steps made, and the longest time without one.
fn steps_until(ids: &dyn Ids, deadline: Instant) -> (Vec<u64>, Duration) {
    let (mut firsts, mut longest) = (Vec::new(), Duration::ZERO);
    let mut last = Instant::now();
    while Instant::now() < deadline {
        if let Ok(Some(range)) = ids.reserve(&key("shared"), 10) {
            firsts.push(range.start);
            longest = longest.max(last.elapsed());
            last = Instant::now();
        } else {
            thread::park_timeout(Duration::from_millis(5));
        }
    }
    (firsts, longest.max(last.elapsed()))
}
