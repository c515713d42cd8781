//! On real servers.

use std::thread;
use std::time::Instant;

use base::units::Period;
use test_mariadb::{Galera, Mariadb};

use super::connect::Service;
use super::*;
use crate::{Availability, DatabaseUrl};

mod calls;
mod reads_only;
mod silent;
mod tls;

static SCHEMA: Schema = Schema {
    component: "test",
    version: 1,
    tables: &[Table {
        name: "t_counts",
        columns: "id int PRIMARY KEY, n int",
        our_columns: &[("note", "varchar(8)")],
        our_indexes: &[("by_n", "INDEX", "(n)")],
    }],
};

const ADD: &str = "UPDATE t_counts SET n = n + 1 WHERE id = ?";

fn url(text: &str) -> MysqlUrl {
    let DatabaseUrl::Mysql(url) = text.parse().unwrap() else {
        panic!("another engine");
    };
    url
}

/// A server that answers late because the machine is loaded must not pass for one that is away.
fn config(server: &Mariadb) -> MysqlConfig {
    MysqlConfig {
        password_file: Some(server.password_file()),
        connect_timeout: Period::from_secs(10),
        ..MysqlConfig::default()
    }
}

/// A database with the tables, one row in them.
fn prepared(server: &Mariadb, name: &str) -> MysqlUrl {
    let url = url(&server.url(name));
    Mysql::init(&url, &config(server), &SCHEMA).unwrap();
    server.execute(name, "INSERT INTO t_counts (id, n) VALUES (1, 0)");
    url
}

fn open(server: &Mariadb, url: &MysqlUrl) -> Mysql {
    Mysql::open(url, &config(server), &SCHEMA).unwrap()
}

fn count(mysql: &Mysql) -> Result<Option<u32>, DbError> {
    mysql.run("count", Effect::Read, |session| {
        session.first("SELECT n FROM t_counts WHERE id = 1", ())
    })
}

fn add(mysql: &Mysql, effect: Effect) -> Result<Done, DbError> {
    mysql.run("add", effect, |session| session.execute(ADD, (1,)))
}

/// Looks until the database serves.
fn wait_for(mysql: &Mysql) {
    wait_for_count(mysql, |_| true);
}

/// Looks until the row in use, which is another one on each server, is as wanted.
fn wait_for_count(mysql: &Mysql, is_wanted: impl Fn(Option<u32>) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let found = count(mysql);
        match &found {
            Ok(n) if is_wanted(*n) => return,
            Ok(_) => {}
            Err(error) => assert!(error.is_unavailable(), "{error:?}"),
        }
        assert!(Instant::now() < deadline, "{found:?}");
        thread::park_timeout(Duration::from_millis(10));
    }
}

fn wait_until(mysql: &Mysql, is_so: impl Fn(&Availability) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so(&mysql.availability()) {
        assert!(Instant::now() < deadline, "{:?}", mysql.availability());
        thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_missing_database_and_its_tables_are_made_once() {
    let server = test_mariadb::shared();
    let (url, config) = (url(&server.url("made")), config(server));
    let made = Mysql::init(&url, &config, &SCHEMA).unwrap();
    assert_eq!(
        made,
        [
            "made database made",
            "made table t_counts",
            "added column t_counts.note",
            "added index by_n of t_counts",
            "tables of test brought from version 0 to 1",
        ]
    );
    let again = Mysql::init(&url, &config, &SCHEMA).unwrap();
    assert_eq!(again, ["tables of test are at version 1"]);
    server.execute("made", "UPDATE tnv_schema SET version = 2");
    let later = Mysql::init(&url, &config, &SCHEMA).unwrap_err();
    assert!(matches!(later, DbError::SchemaTooNew { found: 2, .. }));
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_name_stands_for_its_addresses_and_one_without_any_is_told() {
    let server = test_mariadb::shared();
    let mut url = prepared(server, "named");
    url.hosts[0].host = "localhost".to_owned();
    let mysql = open(server, &url);
    wait_for(&mysql);
    assert_eq!(count(&mysql).unwrap(), Some(0));
    // No name server knows it (RFC 6761).
    url.hosts[0].host = "db.invalid".to_owned();
    let mysql = open(server, &url);
    let deadline = Instant::now() + Duration::from_secs(30);
    let told = loop {
        let error = count(&mysql).unwrap_err();
        let told = format!("{:#}", anyhow::Error::from(error));
        if told.contains("the name has no address") {
            break told;
        }
        assert!(Instant::now() < deadline, "{told}");
    };
    assert!(told.contains("away"), "{told}");
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn sessions_are_set_up_and_bounded() {
    let server = test_mariadb::shared();
    let url = prepared(server, "bounded");
    let config = MysqlConfig {
        connections_max: 2,
        ..config(server)
    };
    let mysql = Mysql::open(&url, &config, &SCHEMA).unwrap();
    wait_for(&mysql);
    let set_up = mysql.run("ask", Effect::Read, |session| {
        let sql = "SELECT concat(@@time_zone, @@character_set_client, @@sql_mode, \
            @@tx_isolation, @@innodb_lock_wait_timeout)";
        session.first::<(String,)>(sql, ())
    });
    let (set_up,) = set_up.unwrap().unwrap();
    let expected = "+00:00utf8mb4STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTIONREAD-COMMITTED5";
    assert_eq!(set_up, expected);
    let most = thread::scope(|scope| {
        let ask = || {
            // The statement finds those that run it, and not the monitor.
            let sql = "SELECT count(*) FROM information_schema.PROCESSLIST \
                WHERE DB = 'bounded' AND INFO LIKE '%PROCESSLIST%' AND SLEEP(0.05) = 0";
            let run = |session: &mut Session| session.first::<u32>(sql, ());
            mysql.run("ask", Effect::Read, run).unwrap().unwrap()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).max()
    });
    assert_eq!(most, Some(2));
    mysql.close();
    assert!(matches!(count(&mysql), Err(DbError::Closed)));
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_database_away_at_the_start_is_waited_for() {
    let mut server = Mariadb::start();
    let url = prepared(&server, "away");
    server.stop();
    let began = Instant::now();
    let mysql = open(&server, &url);
    for _ in 0..100 {
        assert!(count(&mysql).unwrap_err().is_awaited());
    }
    // The first look took a moment, all else fails at once: a search would take a second each.
    assert!(began.elapsed() < Duration::from_secs(50));
    assert!(mysql.availability().reads.unwrap_err().is_awaited());
    server.start_again();
    wait_for(&mysql);
    mysql.availability().full().unwrap();
    // A server that stops while nobody asks is noticed by the next call.
    server.start_again();
    wait_for(&mysql);
    assert_eq!(add(&mysql, Effect::Once).unwrap().affected, 1);
    assert_eq!(count(&mysql).unwrap(), Some(1));
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn the_outcome_of_a_write_cut_short_is_unknown_unless_it_may_be_repeated() {
    let mut server = Mariadb::start();
    let url = prepared(&server, "cut");
    let mysql = open(&server, &url);
    wait_for(&mysql);
    let slow = "UPDATE t_counts SET n = n + 1 + SLEEP(8) WHERE id = 1";
    let results = thread::scope(|scope| {
        let run = |effect| {
            let mysql = &mysql;
            scope.spawn(move || mysql.run("add", effect, |s| s.execute(slow, ())))
        };
        let once = run(Effect::Once);
        let is_running = || {
            let sql = "SELECT count(*) FROM information_schema.PROCESSLIST \
                WHERE INFO LIKE '%SLEEP(8)%' AND COMMAND = 'Execute'";
            server.query("cut", sql) == ["1"]
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_running() && Instant::now() < deadline {
            thread::park_timeout(Duration::from_millis(10));
        }
        server.kill();
        once.join().unwrap()
    });
    assert!(
        matches!(results, Err(DbError::UnknownOutcome { .. })),
        "{results:?}"
    );
    server.start_again();
    wait_for(&mysql);
    // A crash before the commit undid it.
    assert_eq!(count(&mysql).unwrap(), Some(0));
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn the_next_server_takes_over_and_the_first_one_is_returned_to() {
    let [mut first, second] = [Mariadb::start(), Mariadb::start()];
    let mut url = prepared(&first, "moves");
    url.hosts.extend(prepared(&second, "moves").hosts);
    second.execute("moves", "UPDATE t_counts SET n = 1000");
    let mysql = open(&first, &url);
    wait_for_count(&mysql, |n| n == Some(0));
    first.kill();
    wait_for_count(&mysql, |n| n == Some(1000));
    first.start_again();
    wait_for_count(&mysql, |n| n == Some(0));
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn who_has_nothing_to_do_notices_that_the_server_goes_and_comes_back() {
    let mut server = Mariadb::start();
    let url = prepared(&server, "idle");
    let mysql = open(&server, &url);
    wait_for(&mysql);
    server.kill();
    wait_until(&mysql, |found| found.full().is_err());
    server.start_again();
    wait_until(&mysql, |found| found.full().is_ok());
    wait_for_count(&mysql, |n| n == Some(0));
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_server_that_stands_still_costs_a_time_out_and_no_more() {
    let [first, second] = [Mariadb::start(), Mariadb::start()];
    let mut url = prepared(&first, "still");
    url.hosts.extend(prepared(&second, "still").hosts);
    let config = MysqlConfig {
        connect_timeout: Period::from_millis(300),
        read_timeout: Period::from_millis(600),
        ..config(&first)
    };
    let mysql = Mysql::open(&url, &config, &SCHEMA).unwrap();
    wait_for(&mysql);
    first.pause(true);
    wait_for(&mysql);
    first.pause(false);
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn certification_conflicts_between_nodes_are_repeated() {
    let cluster: &Galera = test_mariadb::shared_galera();
    let all = prepared(&cluster.nodes[0], "conflicts");
    let on = |n: usize| MysqlUrl {
        hosts: url(&cluster.nodes[n].url("conflicts")).hosts,
        ..all.clone()
    };
    let nodes = [0, 1].map(|n| open(&cluster.nodes[0], &on(n)));
    nodes.iter().for_each(wait_for);
    let tries: u32 = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let mysql = &nodes[n % 2];
                scope.spawn(move || {
                    let mut tries = 0;
                    for _ in 0..50 {
                        let added = mysql.run("add", Effect::Once, |session| {
                            tries += 1;
                            session.execute(ADD, (1,))
                        });
                        assert_eq!(added.unwrap().affected, 1);
                    }
                    tries
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    println!("200 changes of one row on two nodes took {tries} tries");
    assert_eq!(count(&nodes[0]).unwrap(), Some(200));
    assert_eq!(count(&nodes[1]).unwrap(), Some(200));
}

/// Every causal read stands still until the cluster has given the dead node up.
#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_node_is_chosen_before_the_cluster_gives_a_dead_one_up() {
    let mut cluster = Galera::start(3);
    let patient = "SET GLOBAL wsrep_provider_options = 'evs.inactive_timeout=PT90S; \
        evs.suspect_timeout=PT60S'";
    for node in &cluster.nodes {
        node.execute("mysql", patient);
    }
    cluster.nodes[0].kill();
    let survivor = &cluster.nodes[1];
    let connector = Connector::new(&url(&survivor.url("mysql")), &config(survivor));
    let (_, service) = connector.probe(0).unwrap();
    assert!(matches!(service, Service::Full), "{service:?}");
}
