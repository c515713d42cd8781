//! The tables of one component: their definition, the check, and the making of missing parts. Existing
//! tables and columns are never renamed, dropped or retyped: the C++ system may use them.

use super::connect::Connector;
use super::failure::{Failure, Kind};
use super::session::Session;
use crate::DbError;

/// Holds the version of the tables of each component: several may share a database.
const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS tnv_schema (\
    component varchar(32) PRIMARY KEY, version int unsigned NOT NULL) ENGINE=InnoDB";
const VERSION: &str = "SELECT version FROM tnv_schema WHERE component = ?";
const SET_VERSION: &str = "INSERT INTO tnv_schema (component, version) VALUES (?, ?) \
    ON DUPLICATE KEY UPDATE version = VALUES(version)";

/// Binary collations of MariaDB, of MySQL 8, and of any server (which ignores trailing blanks). New tables
/// use the first one that the server has.
const COLLATIONS: [&str; 3] = ["utf8mb4_nopad_bin", "utf8mb4_0900_bin", "utf8mb4_bin"];

const TABLE_EXISTS: &str = "SELECT 1 FROM information_schema.TABLES \
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?";
const COLUMN_EXISTS: &str = "SELECT 1 FROM information_schema.COLUMNS \
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND COLUMN_NAME = ?";
const INDEX_EXISTS: &str = "SELECT 1 FROM information_schema.STATISTICS \
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND INDEX_NAME = ? LIMIT 1";

/// The tables of one component.
#[derive(Debug)]
pub struct Schema {
    /// The component: the program without `tnv-`.
    pub component: &'static str,
    /// The version; increases with each addition below.
    pub version: u32,
    /// The tables.
    pub tables: &'static [Table],
}

/// One table.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The columns and keys of the C++ system, including a column `id`, as between the parentheses of
    /// `CREATE TABLE`.
    pub columns: &'static str,
    /// Additional nullable columns: names and types.
    pub our_columns: &'static [(&'static str, &'static str)],
    /// Additional indexes: names, kinds and columns, as in
    /// `("by_user", "INDEX", "(userid)")`.
    pub our_indexes: &'static [(&'static str, &'static str, &'static str)],
}

impl Schema {
    /// Checks that the database has these tables.
    pub(super) fn check(&self, session: &mut Session) -> Result<(), DbError> {
        let found = session
            .first(VERSION, (self.component,))
            .map_err(|failure| self.reason(failure))?;
        match found {
            Some(found) if found > self.version => Err(self.too_new(found)),
            Some(found) if found == self.version => self.check_columns(session),
            _ => Err(DbError::Uninitialised {
                component: self.component,
            }),
        }
    }

    /// A later version of tnv may have added columns without a new version, so that earlier ones go on.
    fn check_columns(&self, session: &mut Session) -> Result<(), DbError> {
        for Table {
            name, our_columns, ..
        } in self.tables
        {
            let columns: Vec<&str> = our_columns.iter().map(|(column, _)| *column).collect();
            if !columns.is_empty() {
                let sql = format!("SELECT {} FROM {name} WHERE 1 = 0", columns.join(", "));
                let found: Result<Option<Vec<u8>>, _> = session.first(&sql, ());
                found.map_err(|failure| self.reason(failure))?;
            }
        }
        Ok(())
    }

    /// Runs a write of no row on each table, which the server refuses if it would refuse a row. Returns why it
    /// refuses.
    pub(super) fn refuses_writes(&self, session: &mut Session) -> Option<Failure> {
        self.tables.iter().find_map(|table| {
            let Table { name, .. } = table;
            let insert = format!("INSERT INTO {name} (id) SELECT id FROM {name} WHERE 1 = 0");
            let update = format!("UPDATE {name} SET id = id WHERE 1 = 0");
            let asked = [insert, update]
                .iter()
                .try_for_each(|sql| session.plain(sql));
            asked.err().filter(Failure::is_no_to_writes)
        })
    }

    /// The error of a server that failed during the check.
    pub(super) fn reason(&self, failure: Failure) -> DbError {
        match failure.kind {
            Kind::Schema => DbError::Uninitialised {
                component: self.component,
            },
            _ => DbError::Away {
                source: failure.into_cause(),
            },
        }
    }

    fn too_new(&self, found: u32) -> DbError {
        DbError::SchemaTooNew {
            component: self.component.to_owned(),
            found,
            known: self.version,
        }
    }
}

/// Makes missing parts on the first server that can be connected to. Returns a line for each change.
pub(super) fn init(connector: &Connector, schema: &Schema) -> Result<Vec<String>, DbError> {
    let cannot = |failure: Failure| failure.into_error("make the tables");
    let mut session = any_server(connector).map_err(cannot)?;
    let mut made = Vec::new();
    choose_database(&mut session, connector.database(), &mut made).map_err(cannot)?;
    session.plain(VERSIONS).map_err(cannot)?;
    let found = session
        .first(VERSION, (schema.component,))
        .map_err(cannot)?;
    let found: u32 = found.unwrap_or(0);
    if found > schema.version {
        return Err(schema.too_new(found));
    }
    let collation = collation(&mut session).map_err(cannot)?;
    for table in schema.tables {
        complete(&mut session, table, collation, &mut made).map_err(cannot)?;
    }
    let version = (schema.component, schema.version);
    session.execute(SET_VERSION, version).map_err(cannot)?;
    let (component, version) = (schema.component, schema.version);
    made.push(if found == version {
        format!("tables of {component} are at version {version}")
    } else {
        format!("tables of {component} brought from version {found} to {version}")
    });
    Ok(made)
}

fn any_server(connector: &Connector) -> Result<Session, Failure> {
    let mut first = None;
    for host in 0..connector.hosts().len() {
        match connector.connect_without_database(host) {
            Ok(session) => return Ok(session),
            Err(failure) => first = first.or(Some(failure)),
        }
    }
    Err(first.unwrap_or_else(|| DbError::Closed.into()))
}

/// Selects the database, and makes it if it is missing.
fn choose_database(
    session: &mut Session,
    name: &str,
    made: &mut Vec<String>,
) -> Result<(), Failure> {
    let quoted = format!("`{}`", name.replace('`', "``"));
    match session.plain(&format!("USE {quoted}")) {
        Err(failure) if matches!(failure.kind, Kind::Schema) => {
            session.plain(&format!(
                "CREATE DATABASE IF NOT EXISTS {quoted} CHARACTER SET utf8mb4"
            ))?;
            made.push(format!("made database {name}"));
            session.plain(&format!("USE {quoted}"))
        }
        used => used,
    }
}

fn collation(session: &mut Session) -> Result<&'static str, Failure> {
    let sql = "SELECT 1 FROM information_schema.COLLATIONS WHERE COLLATION_NAME = ?";
    for name in COLLATIONS {
        if exists(session, sql, &[name])? {
            return Ok(name);
        }
    }
    Ok("utf8mb4_bin")
}

/// Makes a table, or its missing columns and indexes.
fn complete(
    session: &mut Session,
    table: &Table,
    collation: &str,
    made: &mut Vec<String>,
) -> Result<(), Failure> {
    let name = table.name;
    if !exists(session, TABLE_EXISTS, &[name])? {
        // Long keys need rows of this format where it is not the default.
        let sql = format!(
            "CREATE TABLE {name} ({}) ENGINE=InnoDB ROW_FORMAT=DYNAMIC \
             DEFAULT CHARACTER SET utf8mb4 COLLATE {collation}",
            table.columns
        );
        make(session, &sql, format!("made table {name}"), made)?;
    }
    for (column, kind) in table.our_columns {
        if !exists(session, COLUMN_EXISTS, &[name, column])? {
            let sql = format!("ALTER TABLE {name} ADD COLUMN {column} {kind} NULL");
            make(session, &sql, format!("added column {name}.{column}"), made)?;
        }
    }
    for (index, kind, columns) in table.our_indexes {
        if !exists(session, INDEX_EXISTS, &[name, index])? {
            let sql = format!("ALTER TABLE {name} ADD {kind} {index} {columns}");
            make(
                session,
                &sql,
                format!("added index {index} of {name}"),
                made,
            )?;
        }
    }
    Ok(())
}

fn exists(session: &mut Session, sql: &str, names: &[&str]) -> Result<bool, Failure> {
    let names: Vec<mysql::Value> = names.iter().map(|&name| name.into()).collect();
    let found: Option<i64> = session.first(sql, names)?;
    Ok(found.is_some())
}

/// Runs a statement that another host may have run already.
fn make(
    session: &mut Session,
    sql: &str,
    what: String,
    made: &mut Vec<String>,
) -> Result<(), Failure> {
    match session.plain(sql) {
        Ok(()) => made.push(what),
        Err(failure) if matches!(failure.kind, Kind::Made) => {}
        Err(failure) => return Err(failure),
    }
    Ok(())
}
