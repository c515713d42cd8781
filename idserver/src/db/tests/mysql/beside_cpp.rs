//! Beside an idserver of the C++ system, which selects a row without a lock and then adds to it.

use std::collections::HashMap;
use std::sync::Barrier;

use ::mysql::prelude::Queryable;
use ::mysql::{Conn, OptsBuilder};
use test_mariadb::{Mariadb, PASSWORD, USER};

use super::*;

/// Numbers that both kinds of idserver reserve at a time.
const STEP: u32 = 100;
const ROUNDS: usize = 20;
/// Numbers of each server in each round.
const NUMBERS: usize = 2_000;

/// The value that a C++ idserver writes into the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writes {
    /// The current value of the row plus its step, as in the C++ sources.
    Sum,
    /// The value that it read earlier plus its step.
    ReadSum,
}

struct CppPeer {
    conn: Conn,
    writes: Writes,
}

impl CppPeer {
    fn connect(server: &Mariadb, database: &str, writes: Writes) -> CppPeer {
        let opts = OptsBuilder::new()
            .ip_or_hostname(Some("127.0.0.1"))
            .tcp_port(server.port)
            .prefer_socket(false)
            .user(Some(USER))
            .pass(Some(PASSWORD))
            .db_name(Some(database));
        let conn = Conn::new(opts).unwrap();
        CppPeer { conn, writes }
    }

    /// One step: the first of its numbers. None where the server refuses: it reports an error then.
    fn step(&mut self, between: impl FnOnce()) -> Option<u64> {
        let stepped = self.try_step(between);
        if stepped.is_err() {
            self.conn.query_drop("ROLLBACK").unwrap();
        }
        self.conn.query_drop("SET autocommit = 1").unwrap();
        stepped.ok()
    }

    fn try_step(&mut self, between: impl FnOnce()) -> ::mysql::Result<u64> {
        self.conn.query_drop("SET autocommit = 0")?;
        let select = "SELECT id_value FROM t_id_gen WHERE id = '../data'";
        let first: Option<u64> = self.conn.query_first(select)?;
        between();
        let first = first.unwrap();
        let sum = match self.writes {
            Writes::Sum => format!("id_value + {STEP}"),
            Writes::ReadSum => format!("{first} + {STEP}"),
        };
        let update = format!("UPDATE t_id_gen SET id_value = {sum} WHERE id = '../data'");
        self.conn.query_drop(update)?;
        self.conn.query_drop("COMMIT")?;
        Ok(first)
    }
}

/// A table as the C++ system makes it, and an idserver of ours on it.
fn ours(server: &Mariadb, name: &str, cpp_step: u32) -> Box<dyn Ids> {
    server.create_database(name);
    let table = "CREATE TABLE t_id_gen (id varchar(64) primary key, id_value bigint,
        create_time timestamp default current_timestamp,
        update_time timestamp default current_timestamp on update current_timestamp)
        ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
        INSERT INTO t_id_gen SET id='../data', id_value=300";
    server.execute(name, table);
    let mut config = mysql_config(&server.url(name), server);
    config.cpp_step = cpp_step;
    init(&config).unwrap();
    open(&config).unwrap()
}

fn reserve(ids: &dyn Ids) -> u64 {
    ids.reserve(&key("../data"), STEP).unwrap().unwrap().start
}

/// How many numbers were handed out twice in all rounds, from the first numbers of steps.
fn doubled(ids: &dyn Ids, peer: &mut CppPeer) -> usize {
    let steps = NUMBERS / STEP as usize;
    let mut times: HashMap<u64, usize> = HashMap::new();
    for _ in 0..ROUNDS {
        let start = Barrier::new(2);
        let (ours, theirs) = thread::scope(|scope| {
            let ours = scope.spawn(|| {
                start.wait();
                (0..steps).map(|_| reserve(ids)).collect::<Vec<_>>()
            });
            start.wait();
            // A step that the server refuses is an upload that fails, and is tried again.
            let theirs: Vec<u64> = std::iter::repeat_with(|| peer.step(|| {}))
                .flatten()
                .take(steps)
                .collect();
            (ours.join().unwrap(), theirs)
        });
        for first in ours.into_iter().chain(theirs) {
            for number in first..first + u64::from(STEP) {
                *times.entry(number).or_default() += 1;
            }
        }
    }
    assert!(times.len() <= ROUNDS * 2 * NUMBERS);
    times.values().filter(|&&n| n > 1).count()
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn what_a_cpp_idserver_has_read_is_not_handed_out_by_ours() {
    let server = test_mariadb::shared();
    for (cpp_step, name) in [(STEP, "gap"), (0, "no_gap")] {
        let ids = ours(server, name, cpp_step);
        let mut firsts = Vec::new();
        let mut peer = CppPeer::connect(server, name, Writes::Sum);
        let theirs = peer.step(|| firsts.extend((0..3).map(|_| reserve(&*ids))));
        firsts.push(reserve(&*ids));
        assert_eq!(theirs, Some(300));
        if cpp_step == 0 {
            // The danger is real: this is what the setting is for.
            assert_eq!(firsts[0], 300);
        } else {
            assert_eq!(firsts, [400, 600, 800, 1100]);
        }
    }
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn no_number_is_given_twice_beside_a_cpp_idserver() {
    let server = test_mariadb::shared();
    let ids = ours(server, "beside", STEP);
    let mut peer = CppPeer::connect(server, "beside", Writes::Sum);
    assert_eq!(doubled(&*ids, &mut peer), 0);
}

/// The server itself can see to it, whatever the C++ idserver writes.
#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn no_number_is_given_twice_on_a_server_that_isolates() {
    let server = Mariadb::start();
    let settings = [
        (
            "serializable",
            "SET GLOBAL TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        ),
        (
            "snapshot",
            "SET GLOBAL TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
             SET GLOBAL innodb_snapshot_isolation = ON",
        ),
    ];
    for (name, setting) in settings {
        server.execute("mysql", setting);
        let ids = ours(&server, name, 0);
        // The setting is of sessions that begin after it.
        for writes in [Writes::Sum, Writes::ReadSum] {
            let mut peer = CppPeer::connect(&server, name, writes);
            assert_eq!(doubled(&*ids, &mut peer), 0, "{name} {writes:?}");
        }
    }
}
