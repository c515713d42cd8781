//! The keys in MySQL, MariaDB or Galera.

use std::ops::Range;

use daemon::db::{
    Availability, DbError, Effect, Mysql, MysqlConfig, MysqlSchema, MysqlTable, MysqlUrl,
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

/// One statement, so that nothing comes between reading and writing, on one node or on two: of two
/// nodes that step the same row one fails its certification. A row that has not so many numbers
/// left, or none at all, is left as it is. In a table of the C++ system keys that its collation
/// takes for the same share a row: each number goes to one of them.
const RESERVE: &str = "INSERT INTO t_id_gen (id, id_value) VALUES (?, ?) \
    ON DUPLICATE KEY UPDATE id_value = IF(id_value BETWEEN 0 AND ? - ?, \
    LAST_INSERT_ID(id_value + ?), id_value)";

pub(super) struct MysqlIds(Mysql);

impl MysqlIds {
    pub(super) fn open(url: &MysqlUrl, config: &MysqlConfig) -> Result<MysqlIds, DbError> {
        Ok(MysqlIds(Mysql::open(url, config, &SCHEMA)?))
    }
}

impl Ids for MysqlIds {
    /// It may be repeated after a lost connection: what the lost one may have reserved is skipped.
    fn reserve(&self, key: &IdKey, step: u32) -> Result<Option<Range<u64>>, DbError> {
        let step = u64::from(step);
        let done = self
            .0
            .run("reserve numbers", Effect::Idempotent, |session| {
                session.execute(RESERVE, (key.as_str(), step, i64::MAX, step, step))
            })?;
        Ok(match done.affected {
            0 => None,
            // A new row; the driver tells no insert id of it.
            1 => Some(0..step),
            _ => Some(done.last_insert_id - step..done.last_insert_id),
        })
    }

    fn availability(&self) -> Availability {
        self.0.availability()
    }

    fn close(&self) {
        self.0.close();
    }
}
