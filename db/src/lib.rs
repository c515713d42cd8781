//! Databases: connections to SQLite and MySQL that survive what happens to files and servers.
//!
//! It owns the setting that names a database ([`DatabaseUrl`]), the section `[mysql]`
//! ([`MysqlConfig`]), the errors of both engines ([`DbError`]) and the engines ([`Sqlite`], [`Mysql`]).
//! Tables and statements belong to the servers, in their own `db` folders.
//!
//! Threads: for each SQLite database one that writes, one that waits for locks and one that looks
//! whether the database can be used; for each MySQL database one that looks for a server that can be
//! used. Reads, and statements of MySQL, run on the threads of the callers. Closing joins all of them.
//!
//! In reading order: `url`, `error`, `availability`; `sqlite` with its `writer`, `fair_lock`, `readers`
//! and `watch`; `mysql` with its `connect`, `pool`, `failure` and `watch`.

use std::time::Duration;

mod availability;
mod error;
mod mysql;
mod sqlite;
mod url;

pub use ::mysql::Value as MysqlValue;
pub use availability::Availability;
pub use error::DbError;
pub use mysql::{
    Done, Effect, Failure, Mysql, MysqlConfig, Schema as MysqlSchema, Session, Table as MysqlTable,
    Tls,
};
pub use sqlite::{Sqlite, Synchronous};
pub use url::{DatabaseUrl, DatabaseUrlError, MysqlHost, MysqlUrl};

/// How long closing a database waits for its threads: a disk or a server may hold them for ever.
const CLOSE_TIME: Duration = Duration::from_secs(5);
