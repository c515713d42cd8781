//! Databases: connections to SQLite and MySQL that survive what happens to files and servers.
//!
//! It owns the setting that names a database ([`DatabaseUrl`]), the section `[mysql]`
//! ([`MysqlConfig`]), the errors of both engines ([`DbError`]) and the engines ([`Sqlite`], [`Mysql`]).
//! Tables and statements belong to the servers, in their own `db` folders.
//!
//! Threads: for each SQLite database a writer, one that waits for locks and a monitor; for each MySQL
//! database a monitor that chooses the server. Reads, and statements of MySQL, run on the threads of
//! the callers. Closing joins all of them.
//!
//! In reading order: `url`, `error`, `availability`; `sqlite` with its `writer`, `fair_lock`, `readers`
//! and `file_monitor`; `mysql` with its `connect`, `pool`, `failure` and `server_monitor`.

use std::time::Duration;

mod availability;
mod error;
mod mysql;
mod sqlite;
mod url;

pub use ::mysql::{Params as MysqlParams, Value as MysqlValue};
pub use availability::Availability;
pub use error::DbError;
pub use mysql::{
    ClockLead, Done, Effect, Failure, Mysql, MysqlConfig, Schema as MysqlSchema, Session,
    Table as MysqlTable, Tls,
};
pub use sqlite::{Sqlite, Synchronous};
pub use url::{DatabaseUrl, DatabaseUrlError, MysqlHost, MysqlUrl};

/// How long closing a database waits for its threads: a disk or a server may block them for ever.
const CLOSE_TIME: Duration = Duration::from_secs(5);
