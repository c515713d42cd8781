//! The paths of stored files, from the tables of a storage.

use std::fs;
use std::net::SocketAddr;

use anyhow::Context;

use crate::database::DATABASE_USER;
use crate::plan::{Plan, Role};

/// The tables of one cluster.
pub(super) enum StoredPaths {
    Sqlite(rusqlite::Connection),
    Galera {
        server: SocketAddr,
        password: String,
    },
}

impl StoredPaths {
    pub(super) fn open(plan: &Plan) -> anyhow::Result<StoredPaths> {
        Ok(match plan.galera.first() {
            None => StoredPaths::Sqlite(rusqlite::Connection::open(plan.database(Role::Storage))?),
            Some(node) => StoredPaths::Galera {
                server: node.addr,
                password: fs::read_to_string(plan.database_password())?,
            },
        })
    }

    /// The path of a file, relative to the working folder of its storage.
    pub(super) fn find(&self, id: &str) -> anyhow::Result<String> {
        let found = match self {
            StoredPaths::Sqlite(db) => {
                Some(db.query_row(&select("", id), [], |row| row.get::<_, String>(0))?)
            }
            StoredPaths::Galera { server, password } => {
                let sql = select("tnv_storagedb.", id);
                let row = test_mariadb::first_row(*server, DATABASE_USER, password, &sql)?;
                row.and_then(|row| row.into_iter().next())
            }
        };
        found.with_context(|| format!("no row of {id}"))
    }
}

fn select(database: &str, id: &str) -> String {
    let tables = (1..=3)
        .map(|table| format!("SELECT file_path FROM {database}t_file_0{table} WHERE id = '{id}'"));
    tables.collect::<Vec<_>>().join(" UNION ALL ")
}
