//! The keys in MySQL, MariaDB or Galera.

use std::ops::Range;
use std::sync::OnceLock;

use db::{
    Availability, DbError, Effect, Failure, Mysql, MysqlConfig, MysqlSchema, MysqlTable, MysqlUrl,
    Session,
};
use proto::IdKey;

use super::Ids;

pub(super) static SCHEMA: MysqlSchema = MysqlSchema {
    component: "idserver",
    version: 1,
    tables: &[MysqlTable {
        name: "t_id_gen",
        columns: "id varchar(64) PRIMARY KEY, id_value bigint, \
            create_time timestamp NULL DEFAULT CURRENT_TIMESTAMP, \
            update_time timestamp NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP",
        our_columns: &[],
        our_indexes: &[],
    }],
};

/// One statement, so that nothing comes between reading and writing. When two Galera nodes change the same
/// row, one of them fails the certification. A row with too few numbers left, or with no number, stays as it
/// is. In a table of the C++ system keys that its collation takes for the same share a row: each number goes
/// to one of them.
const RESERVE: &str = "INSERT INTO t_id_gen (id, id_value) VALUES (?, ?) \
    ON DUPLICATE KEY UPDATE id_value = IF(id_value BETWEEN 0 AND ? - ?, \
    LAST_INSERT_ID(id_value + ?), id_value)";

const HAS: &str = "SELECT 1 FROM t_id_gen WHERE id = ?";

const COUNT: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM t_id_gen LIMIT ?) AS counted";

const COLLATION: &str = "SELECT TABLE_COLLATION FROM information_schema.TABLES \
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 't_id_gen'";

pub(super) struct MysqlIds {
    mysql: Mysql,
    cpp_step: u32,
    /// Numbers that are skipped in front of each reservation; set when the table was read.
    gap: OnceLock<u64>,
}

impl MysqlIds {
    pub(super) fn open(
        url: &MysqlUrl,
        config: &MysqlConfig,
        cpp_step: u32,
    ) -> Result<MysqlIds, DbError> {
        Ok(MysqlIds {
            mysql: Mysql::open(url, config, &SCHEMA)?,
            cpp_step,
            gap: OnceLock::new(),
        })
    }

    /// A C++ idserver selects a row, without a lock, adds its step to the row in a second statement, and
    /// hands out a step of numbers from what it selected. A reservation made between the two statements
    /// must not begin there. One of a new key may: the C++ idserver's INSERT then fails.
    ///
    /// Tables of tnv compare bytes; those of the C++ system have the collation of their character set.
    fn gap(&self, session: &mut Session) -> Result<u64, Failure> {
        if let Some(gap) = self.gap.get() {
            return Ok(*gap);
        }
        let collation: Option<String> = session.first(COLLATION, ())?;
        let is_of_cpp = collation.is_some_and(|name| !name.ends_with("_bin"));
        let gap = if is_of_cpp { self.cpp_step } else { 0 };
        if gap > 0 {
            log::info!("t_id_gen is of the C++ system: {gap} numbers are left out in each step");
        }
        Ok(*self.gap.get_or_init(|| gap.into()))
    }
}

impl Ids for MysqlIds {
    /// Repeated after a lost connection, whose reservation is skipped if it was made.
    fn reserve(&self, key: &IdKey, step: u32) -> Result<Option<Range<u64>>, DbError> {
        let step = u64::from(step);
        let run = |session: &mut Session| {
            let added = step + self.gap(session)?;
            session.execute(RESERVE, (key.as_str(), step, i64::MAX, added, added))
        };
        let done = self.mysql.run("reserve numbers", Effect::Idempotent, run)?;
        Ok(match done.affected {
            0 => None,
            // A new row, for which the driver has no insert id.
            1 => Some(0..step),
            _ => Some(done.last_insert_id - step..done.last_insert_id),
        })
    }

    fn has(&self, key: &IdKey) -> Result<bool, DbError> {
        let found: Option<u32> =
            DbError::found(self.mysql.run("look for a key", Effect::Read, |session| {
                session.first(HAS, (key.as_str(),))
            }))?;
        Ok(found.is_some())
    }

    fn count(&self, max: u32) -> Result<u32, DbError> {
        let counted: Option<u32> = self.mysql.run("count the keys", Effect::Read, |session| {
            session.first(COUNT, (max,))
        })?;
        Ok(counted.unwrap_or_default())
    }

    fn availability(&self) -> Availability {
        self.mysql.availability()
    }

    fn close(&self) {
        self.mysql.close();
    }
}
