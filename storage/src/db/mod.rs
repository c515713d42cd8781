//! The rows of the files: opens and creates the database.

mod mysql;
mod rows;
mod sqlite;

#[cfg(test)]
pub(crate) use rows::UnfinishedDeletes;
pub(crate) use rows::{Change, Deletion, FileRow, Files, NewRow, StillWanted, StoredRow, TABLES};

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use db::{DatabaseUrl, DbError, Mysql};

use crate::config::Config;

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

/// True if a store path has one of the folders for files, `000` to `1FF`. A marker or `lost+found`
/// is no evidence.
fn holds_files(store_path: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    let is_of_files =
        |name: &OsStr| name.len() == 3 && name.as_bytes().iter().all(|b| is_digit(*b));
    let entries = std::fs::read_dir(store_path).into_iter().flatten();
    entries
        .flatten()
        .any(|entry| is_of_files(&entry.file_name()))
}

/// Opens an existing database for reading.
///
/// # Errors
/// It is missing, or cannot be opened.
pub(crate) fn open_present(config: &Config) -> anyhow::Result<Box<dyn Files>> {
    if let DatabaseUrl::Sqlite(path) = &config.database {
        anyhow::ensure!(path.exists(), "there is no {}", path.display());
    }
    Ok(open(config)?)
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
