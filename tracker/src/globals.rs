//! The shared state of the threads of a tracker.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use ::db::DbError;
use anyhow::Context;
use base::LogThrottle;
use log::{debug, info};
use net::access_control::AccessControl;
use net::admin::OrderVerifier;
use net::quota::Quota;
use parking_lot::{Mutex, RwLock};
use proto::{AppId, ClusterId, GroupName, ServerKind};

use crate::cache::Bindings;
use crate::config::Config;
use crate::database_limit::DatabaseLimit;
use crate::db::{self, Routes};
use crate::groups::{Groups, Now, OtherCluster};
use crate::log_lines::{self, LogLine};
use crate::metrics::TrackerMetrics;
use crate::rejected_joins::RejectedJoins;

pub(crate) struct Globals {
    pub(crate) config: Config,
    /// The applications that are served.
    pub(crate) app_ids: RwLock<Vec<AppId>>,
    /// The members. The lock is never held while waiting or formatting.
    pub(crate) groups: Mutex<Groups>,
    /// The groups as they were read from the database, for warnings and monitors.
    pub(crate) directory: Mutex<GroupDirectory>,
    /// Groups of a reload that are not in the database yet.
    wanted: Mutex<Vec<GroupName>>,
    /// Storages whose joins were rejected.
    pub(crate) rejected_joins: Mutex<RejectedJoins>,
    /// Verifies the orders of administrators.
    pub(crate) guard: OrderVerifier,
    /// Decides who is served.
    pub(crate) access: Arc<AccessControl>,
    pub(crate) routes: Box<dyn Routes>,
    /// Limits the requests that wait for the database.
    pub(crate) database_limit: DatabaseLimit,
    pub(crate) bindings: Bindings,
    /// Limits on new users by client address.
    pub(crate) new_users: Quota,
    pub(crate) metrics: TrackerMetrics,
    pub(crate) log_lines: LogThrottle<LogLine>,
    started: Instant,
    /// Time of the start, seconds since the epoch.
    pub(crate) up_since: i64,
}

/// The groups as they were read from the database.
#[derive(Debug, Clone, Default)]
pub(crate) struct GroupDirectory {
    /// Open groups: they get new users.
    pub(crate) groups: BTreeSet<GroupName>,
    /// Closed groups: they keep their users and get no more.
    pub(crate) closed: BTreeSet<GroupName>,
    /// Why the latest read failed; then the groups are older.
    pub(crate) error: Option<String>,
    pub(crate) cluster: ClusterName,
}

/// The cluster that the database belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum ClusterName {
    /// Not read yet.
    #[default]
    Unread,
    /// The one that the storages remember, by order of an administrator.
    Storages,
    Is(ClusterId),
}

impl GroupDirectory {
    /// True when the group is in the database, open or closed.
    pub(crate) fn has(&self, group: &GroupName) -> bool {
        self.groups.contains(group) || self.closed.contains(group)
    }
}

impl Globals {
    /// Opens the database and adds the groups of the configuration.
    pub(crate) fn open(config: Config) -> anyhow::Result<Arc<Globals>> {
        let routes =
            db::open(&config.database, &config.mysql).context("cannot open the database")?;
        let entered = routes.add_groups(&config.groups);
        let open = match entered.and_then(|()| routes.groups()) {
            // They are added when the database answers.
            Err(e) if e.is_awaited() => config.groups.clone(),
            open => open.context("cannot enter the groups in the database")?,
        };
        let globals = Globals::new(config, routes, open);
        globals.access.reload(&globals.config.access)?;
        Ok(Arc::new(globals))
    }

    /// Builds the shared parts; `open` are the open groups of the database.
    pub(crate) fn new(config: Config, routes: Box<dyn Routes>, open: Vec<GroupName>) -> Globals {
        let groups = Groups::new(config.member_limits());
        Globals {
            app_ids: RwLock::new(config.app_ids.clone()),
            groups: Mutex::new(groups),
            directory: Mutex::new(GroupDirectory {
                groups: open.into_iter().collect(),
                ..GroupDirectory::default()
            }),
            wanted: Mutex::default(),
            rejected_joins: Mutex::default(),
            guard: OrderVerifier::new(config.admin_key_file.clone()),
            access: Arc::new(AccessControl::this_machine(ServerKind::Tracker)),
            routes,
            database_limit: DatabaseLimit::new(config.server.workers / 2),
            bindings: Bindings::new(&config.cache),
            new_users: Quota::new(config.new_user_limits()),
            metrics: TrackerMetrics::default(),
            log_lines: log_lines::throttle(),
            started: Instant::now(),
            up_since: chrono::Utc::now().timestamp(),
            config,
        }
    }

    /// Reads the open groups, after adding those of a reload.
    ///
    /// # Errors
    /// The database does not answer.
    pub(crate) fn read_groups(&self) -> Result<Vec<GroupName>, DbError> {
        let groups = self.enter_wanted().and_then(|()| self.routes.groups());
        if groups.is_ok() && self.directory.lock().cluster == ClusterName::Unread {
            self.read_cluster();
        }
        let mut directory = self.directory.lock();
        match &groups {
            Ok(groups) => {
                directory.groups = groups.iter().cloned().collect();
                directory.error = None;
            }
            Err(e) => directory.error = Some(e.to_string()),
        }
        groups
    }

    /// Reads the open and the closed groups.
    ///
    /// # Errors
    /// The database does not answer.
    pub(crate) fn read_all_groups(&self) -> Result<(), DbError> {
        self.read_groups()?;
        let closed = self.routes.closed_groups()?;
        let mut directory = self.directory.lock();
        directory.closed = closed.into_iter().collect();
        let all = directory.groups.union(&directory.closed).cloned().collect();
        drop(directory);
        self.groups.lock().register(all);
        self.read_cluster();
        Ok(())
    }

    /// Reads the id of the cluster, and gives the database the id of the storages after an order to adopt
    /// it. A failed read keeps the previous id.
    fn read_cluster(&self) {
        let read = self.routes.cluster().and_then(|cluster| match cluster {
            Some(cluster) => Ok(ClusterName::Is(cluster)),
            None => self.adopt_cluster(),
        });
        match read {
            Ok(cluster) => self.directory.lock().cluster = cluster,
            Err(e) => {
                if let Some(more) = self.log_lines.due(LogLine::NoCluster) {
                    let e = anyhow::Error::from(e);
                    debug!("which cluster the database belongs to is not known: {e:#}{more}");
                }
            }
        }
    }

    fn adopt_cluster(&self) -> Result<ClusterName, DbError> {
        let remembered = self.groups.lock().other_cluster(None);
        let Some(OtherCluster { cluster, .. }) = remembered else {
            return Ok(ClusterName::Storages);
        };
        self.routes.name_cluster(&cluster)?;
        info!("the database belongs to cluster {cluster} from now on");
        // Another tracker may have set it before.
        let named = self.routes.cluster()?;
        Ok(named.map_or(ClusterName::Storages, ClusterName::Is))
    }

    /// Why the database is not the one that the storages know. Users of such a database may have files in
    /// another group.
    pub(crate) fn foreign_database(&self) -> Option<String> {
        let own = self.own_cluster()?;
        let other_cluster = self.groups.lock().other_cluster(Some(&own))?;
        Some(format!(
            "the database is not the one that the storages know: {} of them belong to cluster {}, \
             {} to the database's {own}",
            other_cluster.members, other_cluster.cluster, other_cluster.own_members
        ))
    }

    /// The cluster id for a storage that has none. None while the database may be the wrong one.
    pub(crate) fn cluster_for_new(&self) -> Option<ClusterId> {
        let own = self.own_cluster()?;
        let other_cluster = self.groups.lock().other_cluster(Some(&own));
        other_cluster.is_none().then_some(own)
    }

    fn own_cluster(&self) -> Option<ClusterId> {
        match &self.directory.lock().cluster {
            ClusterName::Is(own) => Some(own.clone()),
            ClusterName::Unread | ClusterName::Storages => None,
        }
    }

    fn enter_wanted(&self) -> Result<(), DbError> {
        let wanted = self.wanted.lock().clone();
        if !wanted.is_empty() {
            self.routes.add_groups(&wanted)?;
            self.wanted.lock().retain(|group| !wanted.contains(group));
        }
        Ok(())
    }

    /// Applies the settings that need no restart. New groups get users as soon as they are in the database,
    /// which this does not wait for.
    pub(crate) fn reload(&self, config: &Config) {
        self.wanted.lock().clone_from(&config.groups);
        self.app_ids.write().clone_from(&config.app_ids);
        self.guard.reload(config.admin_key_file.clone());
        self.groups.lock().limit(config.member_limits());
        self.bindings.reload(&config.cache);
        self.new_users.reload(config.new_user_limits());
    }

    /// The current time on both clocks.
    pub(crate) fn now(&self) -> Now {
        Now {
            elapsed: self.started.elapsed(),
            epoch: chrono::Utc::now().timestamp(),
        }
    }
}
