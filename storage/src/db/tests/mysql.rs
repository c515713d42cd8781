//! On MariaDB and Galera.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use base::units::Period;
use crossbeam_channel::{Receiver, TryRecvError, bounded};
use test_mariadb::Mariadb;
use test_support::until;

use super::*;
use crate::db::mysql::MysqlFiles;

pub(super) fn fresh(server: &Mariadb, name: &str) -> Config {
    server.create_database(name);
    let url = server.url(name).parse().unwrap();
    let mut config = config(url, Durability::Full);
    config.mysql.password_file = Some(server.password_file());
    config
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn mysql() {
    run_suite(fresh(test_mariadb::shared(), "suite"));
}

/// On two nodes that change places: what one has committed the other shows.
#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn galera() {
    let cluster = test_mariadb::shared_galera();
    let mut config = fresh(&cluster.nodes[0], "suite");
    let of = |order: &[usize]| cluster.url(order, "suite").parse().unwrap();
    config.database = of(&[0, 1, 2]);
    run_suite(config.clone());
    let first = open(&config).unwrap();
    config.database = of(&[1, 2, 0]);
    let second = open(&config).unwrap();
    for n in 0..50 {
        let (writer, reader) = if n % 2 == 0 {
            (&first, &second)
        } else {
            (&second, &first)
        };
        let key = key("tnv001", &format!("both{n}"));
        insert(&**writer, new_row(key.clone())).unwrap();
        assert!(reader.find(&key).unwrap().is_some(), "{key}");
        let other = NewRow {
            path: "elsewhere".to_owned(),
            ..new_row(key)
        };
        assert!(insert(&**reader, other).unwrap_err().is_conflict());
    }
}

fn run_suite(config: Config) {
    // Three tables, four columns and three indexes of each, and the version.
    assert_eq!(init(&config).unwrap().len(), 25);
    suite(&*open(&config).unwrap());
    assert_eq!(
        init(&config).unwrap(),
        ["tables of storage are at version 1"]
    );
    let again = open(&config).unwrap();
    assert!(again.find(&key("tnv002", "atnv002")).unwrap().is_some());
}

/// The three tables as the C++ system makes them.
pub(super) fn of_cpp() -> String {
    let table = |n: u8| {
        format!(
            "CREATE TABLE t_file_0{n} (id varchar(256) primary key, appid varchar(32),
            userid varchar(128), status tinyint default 0, file_path varchar(512),
            file_size bigint, create_time timestamp default current_timestamp,
            update_time timestamp default current_timestamp on update current_timestamp)
            ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;"
        )
    };
    [1, 2, 3].map(table).concat()
        + "INSERT INTO t_file_02 SET id='OldFile', appid='tnvideo', userid='tnv001', status=0, \
           file_path='../data/000/000/000/5F9E3FA7_000', file_size=56"
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn tables_of_the_cpp_system_are_used() {
    let server = test_mariadb::shared();
    let config = fresh(server, "of_cpp");
    server.execute("of_cpp", &of_cpp());
    assert_eq!(init(&config).unwrap().len(), 22);
    let files = open(&config).unwrap();
    let row = files.find(&key("tnv001", "OldFile")).unwrap().unwrap();
    assert_eq!(row.path, "../data/000/000/000/5F9E3FA7_000");
    assert_eq!((row.size, row.checksum), (56, None));
    assert!(row.created > 1_700_000_000);
    // The collation of their table finds these; they are other files.
    for (user, file) in [("tnv001", "oldfile"), ("TNV001", "OldFile")] {
        assert_eq!(files.find(&key(user, file)).unwrap(), None);
        let other = key(user, file);
        assert_eq!(mark(&*files, &other, &row.path, true), Change::NoRow);
        let holder = files.conflicting_row(&other).unwrap();
        let holder = holder.unwrap_or_else(|| panic!("{other}"));
        assert!(!holder.is_of(&other) && holder.file.group.is_none());
    }
    // One id in another spelling has no room in their table.
    let refused = insert(&*files, new_row(key("tnv001", "oldfile"))).unwrap_err();
    assert!(refused.is_conflict());
    // What we write serves them.
    insert(&*files, new_row(key("tnv001", "new"))).unwrap();
    let theirs = "SELECT concat(file_path, ' ', file_size, ' ', status) FROM t_file_02 \
        WHERE id='new' AND appid='tnvideo' AND userid='tnv001'";
    let found = server.query("of_cpp", theirs);
    assert_eq!(found, ["../data/000/000/000/5F9E3FA7_003 56 0"]);
    let old = key("tnv001", "OldFile");
    assert_eq!(begin_delete(&*files, &old), Change::Done);
    end_delete(&*files, &old);
    assert_eq!(files.row_of(&old).unwrap(), None);
    lists::lists_have_the_files_of_one_user(&*files);
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn tables_of_an_earlier_version_get_their_columns_while_the_storage_waits() {
    let server = test_mariadb::shared();
    let config = fresh(server, "old_columns");
    init(&config).unwrap();
    let drop = [1, 2, 3].map(|n| format!("ALTER TABLE t_file_0{n} DROP COLUMN name;"));
    server.execute("old_columns", &drop.concat());
    let files = open(&config).unwrap();
    until("the storage tells what to do", || {
        let refused = files.find(&key("tnv001", "x")).unwrap_err();
        refused.to_string().contains("--init-database")
    });
    assert_eq!(init(&config).unwrap().len(), 4);
    until("the storage goes on", || {
        files.find(&key("tnv001", "x")).is_ok()
    });
    files.close();
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn lists_of_an_old_mysql_database_need_its_index() {
    let server = test_mariadb::shared();
    let config = fresh(server, "no_index");
    lists::lists_need_the_index(&config, &|| {
        let drop = [1, 2, 3].map(|n| format!("ALTER TABLE t_file_0{n} DROP INDEX tnv_users;"));
        server.execute("no_index", &drop.concat());
    });
}

/// Tables in a character set that has no emoji, as old servers make them.
#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_name_that_the_tables_cannot_hold_is_in_no_row_and_is_refused() {
    let server = test_mariadb::shared();
    for charset in ["utf8mb3", "latin1"] {
        let name = format!("of_{charset}");
        let config = fresh(server, &name);
        let charset = format!("CHARSET={charset}");
        server.execute(&name, &of_cpp().replace("CHARSET=utf8mb4", &charset));
        init(&config).unwrap();
        let files = open(&config).unwrap();
        assert!(files.find(&key("tnv001", "OldFile")).unwrap().is_some());
        for (user, file) in [("tnv001", "\u{1f4a5}"), ("\u{1f4a5}", "OldFile")] {
            let key = key(user, file);
            assert_eq!(files.find(&key).unwrap(), None, "{key}");
            let refused = insert(&*files, new_row(key.clone())).unwrap_err();
            assert!(matches!(refused, DbError::Unfit { .. }), "{refused:?}");
            let mine = group("group001");
            assert_eq!(mark(&*files, &key, "path", true), Change::NoRow, "{key}");
            files.end_delete(&key, "path").unwrap();
            assert_eq!(files.row_of(&key).unwrap(), None, "{key}");
            files.conflicting_row(&key).unwrap();
            assert_eq!(
                files
                    .any_file_of(&key.app, &key.user, &mine)
                    .unwrap()
                    .is_some(),
                user == "tnv001"
            );
        }
        files.availability().full().unwrap();
    }
}

/// Statements that this storage has given up on and the server gets later, as after a break of the network.
#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn an_insert_that_reaches_the_server_late_makes_no_row() {
    let server = Mariadb::start();
    let mut config = fresh(&server, "late");
    config.mysql.read_timeout = Period::from_secs(1);
    init(&config).unwrap();
    let files = open(&config).unwrap();
    until("the server is found", || {
        files.find(&key("tnv001", "x")).is_ok()
    });
    insert(&*files, new_row(key("tnv001", "before"))).unwrap();
    server.pause(true);
    let paused = Instant::now();
    let (late, is_connected) = (key("tnv001", "late"), Arc::new(AtomicBool::new(true)));
    // The client leaves when the statement is on its way.
    let wanted = {
        let is_connected = Arc::clone(&is_connected);
        move || is_connected.swap(false, Ordering::SeqCst)
    };
    let outcome = files.insert(new_row(late.clone()), Arc::new(wanted));
    assert!(
        matches!(outcome, Err(DbError::UnknownOutcome { .. })),
        "{outcome:?}"
    );
    until("the statement has expired", || {
        paused.elapsed() > Duration::from_secs(6)
    });
    server.pause(false);
    until("the server is back", || {
        insert(&*files, new_row(key("tnv001", "after"))).is_ok_and(|done| done == Change::Done)
    });
    assert_eq!(files.row_of(&late).unwrap(), None);
    files.close();
}

/// The files of a new database on the server of all tests, which answers.
fn fresh_files(name: &str) -> MysqlFiles {
    let config = fresh(test_mariadb::shared(), name);
    init(&config).unwrap();
    let DatabaseUrl::Mysql(url) = &config.database else {
        panic!("no MySQL: {}", config.database);
    };
    let files = MysqlFiles::open(url, &config.mysql).unwrap();
    until("the server is found", || {
        files.find(&key("tnv001", "x")).is_ok()
    });
    files
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_server_whose_clock_was_set_takes_rows() {
    let files = fresh_files("clock");
    for (n, ahead) in [0, i64::MAX / 2].into_iter().enumerate() {
        files.mislead_clock(ahead);
        let done = insert(&files, new_row(key("tnv001", &format!("a{n}"))));
        assert_eq!(done.unwrap(), Change::Done);
    }
    // Several at a time, too.
    files.mislead_clock(0);
    thread::scope(|scope| {
        for n in 0..16 {
            let (files, key) = (&files, key("tnv001", &format!("b{n}")));
            scope.spawn(move || assert_eq!(insert(files, new_row(key)).unwrap(), Change::Done));
        }
    });
    files.close();
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn statements_expire_by_the_clock_of_the_server_that_gets_them() {
    let files = fresh_files("clocks");
    let life = files.life_after_failover(Duration::from_secs(600));
    assert!((0..60_000).contains(&life), "{life} ms");
    files.close();
}

/// The results of eight threads while the server was killed and came back.
#[derive(Default)]
struct Seen {
    inserted: Vec<String>,
    unknown: Vec<String>,
    longest_while_down: Duration,
    unavailable: usize,
}

/// How far all threads together have come.
#[derive(Default)]
struct Progress {
    down: AtomicBool,
    inserted: AtomicUsize,
    refused: [AtomicUsize; THREADS],
}

impl Progress {
    /// Waits until so many more rows are in.
    fn wait_for_inserts(&self, more: usize) {
        let wanted = self.inserted.load(Ordering::SeqCst) + more;
        until("more rows are in", || {
            self.inserted.load(Ordering::SeqCst) >= wanted
        });
    }

    /// Waits until every thread was refused so many more times.
    fn wait_for_refusals(&self, more: usize) {
        let counts = || self.refused.iter().map(|n| n.load(Ordering::SeqCst));
        let wanted: Vec<usize> = counts().map(|n| n + more).collect();
        until("every thread was refused", || {
            counts().zip(&wanted).all(|(n, wanted)| n >= *wanted)
        });
    }
}

const THREADS: usize = 8;

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn nothing_is_lost_or_doubled_when_the_server_is_killed() {
    let mut server = Mariadb::start();
    let config = fresh(&server, "killed");
    init(&config).unwrap();
    let files = open(&config).unwrap();
    let progress = Progress::default();
    // Dropping the sender ends the threads, also when a check here fails.
    let (running, ended) = bounded(0);
    let (files, progress) = (&*files, &progress);
    let seen: Vec<Seen> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|n| {
                let ended = ended.clone();
                scope.spawn(move || load(files, n, progress, &ended))
            })
            .collect();
        progress.wait_for_inserts(500);
        server.kill();
        // What was on its way when the server died may take a moment to notice.
        progress.wait_for_refusals(1);
        progress.down.store(true, Ordering::SeqCst);
        progress.wait_for_refusals(100);
        progress.down.store(false, Ordering::SeqCst);
        server.start_again();
        progress.wait_for_inserts(500);
        drop(running);
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    check(&server, &seen, config.mysql.connect_timeout.duration());
}

fn load(files: &dyn Files, thread: usize, progress: &Progress, ended: &Receiver<()>) -> Seen {
    let mut seen = Seen::default();
    for n in 0.. {
        if ended.try_recv() == Err(TryRecvError::Disconnected) {
            break;
        }
        let id = format!("t{thread}n{n}");
        let was_down = progress.down.load(Ordering::SeqCst);
        let began = Instant::now();
        match insert(files, new_row(key("tnv001", &id))) {
            Ok(_) => {
                seen.inserted.push(id);
                progress.inserted.fetch_add(1, Ordering::SeqCst);
            }
            Err(DbError::UnknownOutcome { .. }) => seen.unknown.push(id),
            Err(e) => {
                assert!(e.is_unavailable(), "{e:?}");
                seen.unavailable += 1;
                if was_down && progress.down.load(Ordering::SeqCst) {
                    seen.longest_while_down = seen.longest_while_down.max(began.elapsed());
                }
                progress.refused[thread].fetch_add(1, Ordering::SeqCst);
                thread::park_timeout(Duration::from_millis(1));
            }
        }
    }
    seen
}

/// Rows that were promised are there, and none but those and the unknown ones are.
fn check(server: &Mariadb, seen: &[Seen], connect_timeout: Duration) {
    let rows = server.query("killed", "SELECT id FROM t_file_02");
    let rows: HashSet<&str> = rows.iter().map(String::as_str).collect();
    let all = |pick: fn(&Seen) -> &Vec<String>| -> HashSet<&str> {
        seen.iter().flat_map(pick).map(String::as_str).collect()
    };
    let (inserted, unknown) = (all(|s| &s.inserted), all(|s| &s.unknown));
    let lost: Vec<_> = inserted.difference(&rows).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let promised: HashSet<&str> = inserted.union(&unknown).copied().collect();
    let doubled: Vec<_> = rows.difference(&promised).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    let longest = seen.iter().map(|s| s.longest_while_down).max().unwrap();
    let refused: usize = seen.iter().map(|s| s.unavailable).sum();
    println!(
        "{} rows, lost 0, doubled 0, unknown {}, refused {refused}, longest refusal while down \
         {longest:?}",
        inserted.len(),
        unknown.len(),
    );
    assert!(refused > 0);
    // Nobody waits for a connection that cannot be made.
    assert!(longest < connect_timeout, "{longest:?}");
}
