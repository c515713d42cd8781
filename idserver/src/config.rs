//! The settings of an idserver (`etc/idserver.toml` explains each).

use base::config::{ConfigError, check_nonzero};
use daemon::job::{INIT_DATABASE, Job, job_done};
use db::{DatabaseUrl, MysqlConfig};
use net::access_control::{AccessControl, AccessSettings};
use proto::{Hostname, ServerKind};
use serde::{Deserialize, Serialize};

/// Most numbers in one reservation. A crash skips at most two reservations of each key.
pub const STEP_MAX: u32 = 1_000_000;

/// All settings.
pub type Config = daemon::Config<Settings>;

/// The settings of this server alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The name in front of every error that is sent.
    pub hostname: Hostname,
    /// The database with the first free number of each key.
    pub database: DatabaseUrl,
    /// Numbers of a key in one reservation, 1 to [`STEP_MAX`].
    pub step: u32,
    /// Most numbers in one reservation of a key in demand, 1 to [`STEP_MAX`]. A value below `step` counts
    /// as `step`.
    pub step_max: u32,
    /// Numbers that are skipped in front of each reservation in a table of the C++ system, 0 to [`STEP_MAX`]:
    /// at least the step of the C++ idservers that use it.
    pub cpp_step: u32,
    /// Most keys in memory. The least recently used one makes room, and its numbers in memory are skipped.
    pub keys_max: u64,
    /// The settings that decide who is served.
    #[serde(flatten, skip_deserializing)]
    pub access: AccessSettings,
    /// Most rows of the table. A new key beyond them is refused.
    pub rows_max: u32,
    /// Most keys that get a row within an hour for one IPv4 address, or IPv6 network of 64 bits.
    pub new_keys_per_address: u32,
    /// Connections to a MySQL database.
    pub mysql: MysqlConfig,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            hostname: daemon::hostname(),
            database: DatabaseUrl::Sqlite("/var/lib/tnv/ids.db".into()),
            step: 100,
            step_max: 10_000,
            cpp_step: 100,
            keys_max: 100_000,
            access: AccessSettings::default(),
            rows_max: 10_000,
            new_keys_per_address: 100,
            mysql: MysqlConfig::default(),
        }
    }
}

impl daemon::Settings for Settings {
    const PORT: u16 = 22000;
    const STATUS_PORT: u16 = 22001;

    fn access(&mut self) -> Option<&mut AccessSettings> {
        Some(&mut self.access)
    }

    fn reloaded(&self, new: &Settings) -> Settings {
        Settings {
            access: new.access.clone(),
            rows_max: new.rows_max,
            new_keys_per_address: new.new_keys_per_address,
            ..self.clone()
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.mysql.check(&self.database)?;
        AccessControl::new(ServerKind::Idserver, &self.access)?;
        check_nonzero("keys_max", self.keys_max == 0)?;
        check_nonzero("rows_max", self.rows_max == 0)?;
        check_nonzero("new_keys_per_address", self.new_keys_per_address == 0)?;
        for (key, step) in [("step", self.step), ("step_max", self.step_max)] {
            if !(1..=STEP_MAX).contains(&step) {
                let reason = format!("{step} is not between 1 and {STEP_MAX}");
                return Err(ConfigError::invalid(key, reason));
            }
        }
        if self.cpp_step > STEP_MAX {
            let reason = format!("{} is above {STEP_MAX}", self.cpp_step);
            return Err(ConfigError::invalid("cpp_step", reason));
        }
        Ok(())
    }

    fn access_summary(&self) -> Vec<String> {
        self.access.summary(ServerKind::Idserver)
    }

    fn jobs() -> Vec<Job<Config>> {
        vec![Job {
            flag: INIT_DATABASE,
            work: |config, out| job_done(crate::db::init(&config.database, &config.mysql)?, out),
        }]
    }
}

#[cfg(test)]
mod tests;
