//! The settings of a tracker (`etc/tracker.toml` explains each).

use std::path::PathBuf;
use std::time::Duration;

use base::Network;
use base::config::{ConfigError, check_nonzero};
use base::units::Period;
use daemon::job::{INIT_DATABASE, Job, JobFlag, job_done};
use db::{DatabaseUrl, MysqlConfig};
use net::access_control::{AccessControl, AccessSettings};
use net::admin::OrderVerifier;
use net::quota::Limits;
use proto::{AppId, GroupName, Hostname, ServerKind};
use serde::{Deserialize, Serialize};

/// All settings.
pub type Config = daemon::Config<Settings>;

/// The settings of this server alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The name in front of every error that is sent.
    pub hostname: Hostname,
    /// The applications that are served.
    pub app_ids: Vec<AppId>,
    /// Groups for new users. Missing ones are added to the database; none is ever removed from it.
    pub groups: Vec<GroupName>,
    /// The database of the groups and the users' groups.
    pub database: DatabaseUrl,
    /// A member without a beat for this time is OFFLINE.
    pub check_interval: Period,
    /// Most members of all groups together, including OFFLINE ones.
    pub members_max: usize,
    /// Most members that joined from one address, or IPv6 network of 64 bits.
    pub members_per_address: usize,
    /// Most users that are bound to a group within a minute, for all clients together.
    pub new_users_per_minute: u32,
    /// The same for the clients of one address.
    pub new_users_per_address: u32,
    /// Connect to members, and send no clients to those that cannot be connected to.
    pub check_addresses: bool,
    /// Networks whose addresses may be probed whoever advertises them.
    pub check_networks: Vec<Network>,
    /// The file with the key of the administrators. Without it no order is executed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_key_file: Option<PathBuf>,
    /// The settings that decide who is served.
    #[serde(flatten, skip_deserializing)]
    pub access: AccessSettings,
    /// The cache of users' groups.
    pub cache: CacheConfig,
    /// Connections to a MySQL database.
    pub mysql: MysqlConfig,
}

/// Section `[cache]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// Most users in the cache.
    pub entries: u64,
    /// How long a user's group stays fresh before it is read again.
    pub ttl: Period,
}

impl Default for CacheConfig {
    fn default() -> CacheConfig {
        CacheConfig {
            entries: 100_000,
            ttl: Period::from_secs(60),
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            hostname: daemon::hostname(),
            app_ids: vec!["tnvideo".parse().expect("an app id")],
            groups: vec!["group001".parse().expect("a group name")],
            database: DatabaseUrl::Sqlite("/var/lib/tnv/tracker.db".into()),
            check_interval: Period::from_secs(30),
            members_max: 100_000,
            members_per_address: 1_000,
            new_users_per_minute: 10_000,
            new_users_per_address: 1_000,
            check_addresses: true,
            check_networks: Vec::new(),
            admin_key_file: None,
            access: AccessSettings::default(),
            cache: CacheConfig::default(),
            mysql: MysqlConfig::default(),
        }
    }
}

/// Gives the database the cluster id that the storages know, so that new users are served again.
const ADOPT_CLUSTER: JobFlag = JobFlag {
    name: "adopt-cluster",
    help: "Have the database taken as it is though the storages know another one, and exit",
};

impl Settings {
    /// The limits on members.
    pub(crate) fn member_limits(&self) -> crate::groups::Limits {
        crate::groups::Limits {
            members_max: self.members_max,
            per_address: self.members_per_address,
            check_interval: self.check_interval.duration(),
        }
    }

    /// The limits on new users.
    pub(crate) fn new_user_limits(&self) -> Limits {
        Limits {
            per_peer: self.new_users_per_address,
            in_all: self.new_users_per_minute,
            period: Duration::from_secs(60),
        }
    }
}

impl daemon::Settings for Settings {
    const PORT: u16 = 21000;
    const STATUS_PORT: u16 = 21001;

    fn access(&mut self) -> Option<&mut AccessSettings> {
        Some(&mut self.access)
    }

    fn reloaded(&self, new: &Settings) -> Settings {
        Settings {
            admin_key_file: new.admin_key_file.clone(),
            access: new.access.clone(),
            app_ids: new.app_ids.clone(),
            groups: new.groups.clone(),
            check_interval: new.check_interval,
            members_max: new.members_max,
            members_per_address: new.members_per_address,
            new_users_per_minute: new.new_users_per_minute,
            new_users_per_address: new.new_users_per_address,
            cache: new.cache.clone(),
            ..self.clone()
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.mysql.check(&self.database)?;
        OrderVerifier::check(self.admin_key_file.as_deref())?;
        AccessControl::new(ServerKind::Tracker, &self.access)?;
        check_nonzero("cache.entries", self.cache.entries == 0)?;
        check_nonzero("check_interval", self.check_interval.is_zero())?;
        check_nonzero("members_max", self.members_max == 0)?;
        check_nonzero("members_per_address", self.members_per_address == 0)?;
        check_nonzero("new_users_per_minute", self.new_users_per_minute == 0)?;
        check_nonzero("new_users_per_address", self.new_users_per_address == 0)?;
        if self.app_ids.is_empty() {
            return Err(ConfigError::invalid("app_ids", "at least one is needed"));
        }
        Ok(())
    }

    fn access_summary(&self) -> Vec<String> {
        let mut lines = self.access.summary(ServerKind::Tracker);
        lines.push(OrderVerifier::summary(self.admin_key_file.as_deref()));
        lines
    }

    fn jobs() -> Vec<Job<Config>> {
        vec![
            Job {
                flag: INIT_DATABASE,
                work: |config, out| {
                    job_done(crate::db::init(&config.database, &config.mysql)?, out)
                },
            },
            Job {
                flag: ADOPT_CLUSTER,
                work: |config, out| {
                    job_done(crate::db::adopt(&config.database, &config.mysql)?, out)
                },
            },
        ]
    }
}

#[cfg(test)]
mod tests;
