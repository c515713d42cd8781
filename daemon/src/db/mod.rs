//! Databases: the setting that names one, the errors of all engines, and the engines themselves.
//! What is stored in them is the servers' own business.

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
