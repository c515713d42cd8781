//! The rows of the files: opens and creates the database.

mod listing;
mod mysql;
mod rows;
mod sqlite;
mod sqlite_schema;

pub(crate) use listing::Selection;
pub(crate) use rows::{
    Change, Deletion, FileRow, Files, NewRow, Position, StillWanted, StoredRow, TABLES,
    rows_in_pages, table_of,
};

use db::{DatabaseUrl, DbError, Mysql};

use crate::config::Config;
use crate::disks::store_paths::is_folder_name;

/// Opens the configured database. A MySQL database may be away; it is connected to when it is
/// back.
///
/// # Errors
/// It cannot be opened.
pub(crate) fn open(config: &Config) -> Result<Box<dyn Files>, DbError> {
    match &config.database {
        DatabaseUrl::Sqlite(path) => Ok(Box::new(sqlite::SqliteFiles::open(
            path,
            config.durability,
            evidence(config),
        )?)),
        DatabaseUrl::Mysql(url) => Ok(Box::new(mysql::MysqlFiles::open(url, &config.mysql)?)),
    }
}

/// Evidence that this storage has stored files, so that a missing database is an error.
fn evidence(config: &Config) -> Option<String> {
    let state = &config.state_file;
    if state.exists() {
        return Some(format!("{} is there", state.display()));
    }
    let stored = config.store_paths.iter().find(|path| holds_files(path));
    stored.map(|path| format!("{path} holds files"))
}

/// True if a store path has one of the folders for files. A marker or `lost+found` is no evidence.
fn holds_files(store_path: &str) -> bool {
    let entries = std::fs::read_dir(store_path).into_iter().flatten();
    entries
        .flatten()
        .any(|entry| entry.file_name().to_str().is_some_and(is_folder_name))
}

/// Opens an existing database for reads only, beside the storages that use it.
///
/// # Errors
/// It or its tables are missing, or it cannot be opened.
pub(crate) fn open_for_reads(config: &Config) -> anyhow::Result<Box<dyn Files>> {
    match &config.database {
        DatabaseUrl::Sqlite(path) => {
            anyhow::ensure!(path.exists(), "there is no {}", path.display());
            Ok(Box::new(sqlite::SqliteFiles::open_for_reads(path)?))
        }
        DatabaseUrl::Mysql(_) => Ok(open(config)?),
    }
}

/// Creates missing tables. Returns one line for each change.
///
/// # Errors
/// The database cannot be used, or its tables are of a later version.
pub(crate) fn init(config: &Config) -> Result<Vec<String>, DbError> {
    match &config.database {
        DatabaseUrl::Sqlite(path) => sqlite::init(path),
        DatabaseUrl::Mysql(url) => Mysql::init(url, &config.mysql, &mysql::SCHEMA),
    }
}

#[cfg(test)]
mod tests;
