//! Bringing tables up to date. The version is kept for each component, not in `user_version`:
//! several servers may keep their tables in one file.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};

use super::{connect, engine_error, unavailable};
use crate::DbError;

const TABLE: &str = "create table if not exists tnv_schema (\
    component text primary key, version integer not null) strict, without rowid";

/// How it is known that a component had tables in a database.
pub(super) struct Lost<'a> {
    pub(super) path: &'a Path,
    pub(super) component: &'a str,
    pub(super) evidence: &'a str,
}

impl Lost<'_> {
    pub(super) fn error(&self, what: &str) -> DbError {
        let Lost { path, evidence, .. } = self;
        let text = format!("{} {what}, but {evidence}", path.display());
        DbError::Lost {
            component: self.component.to_owned(),
            source: Arc::new(io::Error::other(text)),
        }
    }
}

/// Runs those of `migrations` that have not run yet, all in one transaction. The caller holds the
/// lock of the writers.
///
/// # Errors
/// The tables are missing though there is evidence of some; of a later version; or a migration
/// fails.
pub(super) fn migrate(
    connection: &mut Connection,
    component: &str,
    migrations: &[&str],
    evidence: Option<&Lost<'_>>,
) -> Result<(), DbError> {
    let cannot = |error| engine_error("bring the tables up to date", error);
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(cannot)?;
    transaction.execute_batch(TABLE).map_err(cannot)?;
    let found = version(&transaction, component).map_err(cannot)?;
    let known = migrations.len() as u32;
    check_version(component, found, known, evidence)?;
    if (1..known).contains(&found) {
        log::info!("bringing the tables of {component} from version {found} to {known}");
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

/// Checks that the tables are those of version `known`, in a database that is opened for reads.
/// `what` says in an error how it is opened, and how it gets these tables.
///
/// # Errors
/// They are not, or cannot be read.
pub(super) fn check(
    connection: &Connection,
    component: &str,
    known: u32,
    evidence: Option<&Lost<'_>>,
    what: &'static str,
) -> Result<(), DbError> {
    let has_table = "select 1 from sqlite_schema where name = 'tnv_schema'";
    let found = connection
        .prepare(has_table)
        .and_then(|mut statement| statement.exists([]))
        .and_then(|exists| exists.then(|| version(connection, component)).transpose())
        .map_err(|e| engine_error(what, e))?
        .unwrap_or(0);
    check_version(component, found, known, evidence)?;
    if found < known {
        let text = format!("tables of {component} are at version {found} of {known}");
        return Err(unavailable(what, io::Error::other(text)));
    }
    Ok(())
}

fn check_version(
    component: &str,
    found: u32,
    known: u32,
    evidence: Option<&Lost<'_>>,
) -> Result<(), DbError> {
    if found > known {
        return Err(DbError::SchemaTooNew {
            component: component.to_owned(),
            found,
            known,
        });
    }
    match evidence.filter(|_| found == 0) {
        Some(lost) => Err(lost.error("has no tables of it")),
        None => Ok(()),
    }
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
