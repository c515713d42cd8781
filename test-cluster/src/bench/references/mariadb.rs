//! The commit rate of MariaDB: one row per transaction, one connection per thread.

use std::io;
use std::time::Instant;

use bench::{Meter, OperationResult, Worker};
use mysql::prelude::Queryable;
use mysql::{Conn, Opts, OptsBuilder};
use test_mariadb::{Mariadb, PASSWORD, USER};

use super::done;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS t_file (
    id varchar(256) NOT NULL PRIMARY KEY,
    appid varchar(32) NOT NULL,
    userid varchar(128) NOT NULL,
    file_path varchar(512) NOT NULL,
    file_size bigint NOT NULL,
    create_time timestamp NOT NULL DEFAULT current_timestamp
) CHARACTER SET ascii
";

const INSERT: &str = "
INSERT INTO t_file (id, appid, userid, file_path, file_size)
VALUES (?, 'tnvideo', 'tnv001', 'store/group001/00/00/000000000000000000000000000000000000', 16384)
";

/// A connection that inserts rows.
pub(in crate::bench) struct MariadbInserter {
    connection: Conn,
    random: u64,
}

impl MariadbInserter {
    /// Connects to `database` and creates the table.
    pub(in crate::bench) fn new(
        server: &Mariadb,
        database: &str,
        seed: u64,
    ) -> anyhow::Result<MariadbInserter> {
        let opts = OptsBuilder::new()
            .ip_or_hostname(Some("127.0.0.1"))
            .tcp_port(server.port)
            .user(Some(USER))
            .pass(Some(PASSWORD))
            .db_name(Some(database));
        let mut connection = Conn::new(Opts::from(opts))?;
        connection.query_drop(SCHEMA)?;
        Ok(MariadbInserter {
            connection,
            random: seed,
        })
    }

    fn insert(&mut self) -> mysql::Result<()> {
        let high = bench::content::next_random(&mut self.random);
        let low = bench::content::next_random(&mut self.random);
        let id = format!("{high:016x}{low:016x}0000");
        self.connection.exec_drop(INSERT, (id,))
    }
}

impl Worker for MariadbInserter {
    fn step(&mut self, _: &Meter) -> OperationResult {
        let begun = Instant::now();
        done(begun, self.insert().map_err(io::Error::other))
    }
}
