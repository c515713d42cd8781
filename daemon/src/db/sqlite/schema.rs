//! Bringing tables up to date. The version is kept for each component, not in `user_version`:
//! several servers may keep their tables in one file.

use std::path::Path;

use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};

use super::{connect, engine_error};
use crate::db::DbError;

const TABLE: &str = "create table if not exists tnv_schema (\
    component text primary key, version integer not null) strict, without rowid";

/// Runs those of `migrations` that have not run yet, all in one transaction. The caller holds the
/// lock of the writers.
pub(super) fn migrate(
    connection: &mut Connection,
    component: &str,
    migrations: &[&str],
) -> Result<(), DbError> {
    let cannot = |error| engine_error("bring the tables up to date", error);
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(cannot)?;
    transaction.execute_batch(TABLE).map_err(cannot)?;
    let found = version(&transaction, component).map_err(cannot)?;
    let known = migrations.len() as u32;
    if found > known {
        return Err(DbError::SchemaTooNew {
            component: component.to_owned(),
            found,
            known,
        });
    }
    for migration in &migrations[found as usize..] {
        transaction.execute_batch(migration).map_err(cannot)?;
    }
    if found < known {
        set_version(&transaction, component, known).map_err(cannot)?;
        log::info!("tables of {component} brought from version {found} to {known}");
    }
    transaction.commit().map_err(cannot)
}

/// The version of the tables in a file that exists, 0 when there are none.
pub(super) fn version_of(path: &Path, component: &str) -> Result<u32, DbError> {
    let cannot = |error| engine_error("read the version of the tables", error);
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.execute_batch(TABLE).map_err(cannot)?;
    version(&connection, component).map_err(cannot)
}

fn version(connection: &Connection, component: &str) -> rusqlite::Result<u32> {
    let sql = "select version from tnv_schema where component = ?1";
    let found = connection
        .query_row(sql, [component], |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or(0))
}

fn set_version(
    transaction: &Transaction<'_>,
    component: &str,
    version: u32,
) -> rusqlite::Result<()> {
    let sql = "insert into tnv_schema (component, version) values (?1, ?2) \
        on conflict (component) do update set version = excluded.version";
    transaction.execute(sql, params![component, version])?;
    Ok(())
}
