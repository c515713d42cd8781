//! Servers that take reads and no writes, each for another reason.

use super::*;

fn is_for_reads_only(found: &Availability) -> bool {
    found.reads.is_ok() && found.writes.is_err()
}

/// Reads are served, writes are refused at once and as something that is waited for.
fn check_reads_only(mysql: &Mysql) {
    wait_for(mysql);
    wait_until(mysql, is_for_reads_only);
    let began = Instant::now();
    for _ in 0..100 {
        let refused = add(mysql, Effect::Once).unwrap_err();
        assert!(
            refused.is_unavailable() && refused.is_awaited(),
            "{refused:?}"
        );
        count(mysql).unwrap();
    }
    // Had each write waited for a search: 100 s.
    assert!(began.elapsed() < Duration::from_secs(50));
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_server_made_read_only_is_read_and_written_when_it_takes_writes_again() {
    let server = Mariadb::start();
    let url = prepared(&server, "frozen");
    let running = open(&server, &url);
    wait_for(&running);
    server.execute("frozen", "SET GLOBAL read_only = 1");
    check_reads_only(&running);
    // One that starts now reads as well.
    let started = open(&server, &url);
    check_reads_only(&started);
    server.execute("frozen", "SET GLOBAL read_only = 0");
    for mysql in [&running, &started] {
        wait_until(mysql, |found| found.full().is_ok());
        assert_eq!(add(mysql, Effect::Once).unwrap().affected, 1);
    }
    assert_eq!(count(&running).unwrap(), Some(2));
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn an_account_that_may_only_read_reads() {
    let server = test_mariadb::shared();
    let mut url = prepared(server, "rights");
    let password = test_mariadb::PASSWORD;
    server.execute(
        "rights",
        &format!(
            "CREATE USER reader@'%' IDENTIFIED BY '{password}'; GRANT SELECT ON rights.* TO reader@'%'"
        ),
    );
    url.user = "reader".to_owned();
    let mysql = open(server, &url);
    check_reads_only(&mysql);
    server.execute(
        "rights",
        "GRANT INSERT, UPDATE, DELETE ON rights.t_counts TO reader@'%'",
    );
    wait_until(&mysql, |found| found.full().is_ok());
    assert_eq!(add(&mysql, Effect::Once).unwrap().affected, 1);
    // Taken away again: the refused write finds out.
    server.execute("rights", "REVOKE UPDATE ON rights.t_counts FROM reader@'%'");
    assert!(add(&mysql, Effect::Once).unwrap_err().is_unavailable());
    check_reads_only(&mysql);
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_server_that_takes_writes_has_precedence_over_one_that_does_not() {
    let [first, second] = [Mariadb::start(), Mariadb::start()];
    let mut url = prepared(&first, "order");
    url.hosts.extend(prepared(&second, "order").hosts);
    second.execute("order", "UPDATE t_counts SET n = 1000");
    first.execute("order", "SET GLOBAL read_only = 1");
    let mysql = open(&first, &url);
    // While the second one answers late the first one is read, and the search goes on.
    wait_for_count(&mysql, |n| n == Some(1000));
    add(&mysql, Effect::Once).unwrap();
    first.execute("order", "SET GLOBAL read_only = 0");
    wait_for_count(&mysql, |n| n == Some(0));
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_server_without_room_for_rows_is_read() {
    let server = test_mariadb::shared();
    let url = prepared(server, "room");
    let mysql = open(server, &url);
    wait_for(&mysql);
    // The same error as that of a full disk, on purpose.
    server.execute(
        "room",
        "CREATE TABLE t_full (id int) ENGINE=MEMORY MAX_ROWS=1; INSERT INTO t_full VALUES (1)",
    );
    let fill = || {
        mysql.run("fill", Effect::Once, |session| {
            let sql = "INSERT INTO t_full SELECT seq FROM seq_1_to_100000";
            session.execute(sql, ())
        })
    };
    let full = fill().unwrap_err();
    assert!(full.is_unavailable(), "{full:?}");
    assert!(is_for_reads_only(&mysql.availability()));
    assert_eq!(count(&mysql).unwrap(), Some(0));
    // Writes go on being tried, and the first that succeeds says so.
    add(&mysql, Effect::Once).unwrap();
    mysql.availability().full().unwrap();
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_galera_node_that_is_cut_off_is_read_if_it_is_set_to() {
    let mut cluster = Galera::start(3);
    let all = prepared(&cluster.nodes[0], "cut_off");
    let survivor = MysqlUrl {
        hosts: url(&cluster.nodes[2].url("cut_off")).hosts,
        ..all
    };
    let mysql = open(&cluster.nodes[2], &survivor);
    wait_for(&mysql);
    add(&mysql, Effect::Once).unwrap();
    for node in &mut cluster.nodes[..2] {
        node.kill();
    }
    wait_until(&mysql, |found| {
        found.reads.is_err() && found.writes.is_err()
    });
    cluster.nodes[2].execute("mysql", "SET GLOBAL wsrep_dirty_reads = ON");
    check_reads_only(&mysql);
    assert_eq!(count(&mysql).unwrap(), Some(1));
}
