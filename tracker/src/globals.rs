//! What all parts of a running tracker share, built once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use ::db::DbError;
use anyhow::Context;
use log::{debug, info};
use net::admin::OrderVerifier;
use net::allowed::AllowedHosts;
use net::quota::Quota;
use parking_lot::{Mutex, RwLock};
use proto::{AppId, ClusterId, GroupName};

use crate::cache::Bindings;
use crate::config::Config;
use crate::db::{self, Routes};
use crate::gate::Gate;
use crate::groups::{Groups, Now, Rival};
use crate::lines::{Line, Lines};
use crate::metrics::TrackerMetrics;
use crate::refusals::Refusals;

pub(crate) struct Globals {
    pub(crate) config: Config,
    /// The applications that are served; a reload changes them.
    pub(crate) app_ids: RwLock<Vec<AppId>>,
    /// The members. Locked for an instant only: never while waiting or formatting.
    pub(crate) groups: Mutex<Groups>,
    /// What the database said when it was last asked, for warnings and monitors.
    pub(crate) known: Mutex<Known>,
    /// Groups that a reload brought, until they are in the database.
    wanted: Mutex<Vec<GroupName>>,
    /// Storages that may not join.
    pub(crate) refusals: Mutex<Refusals>,
    /// In front of the orders of administrators.
    pub(crate) guard: OrderVerifier,
    pub(crate) allowed: AllowedHosts,
    pub(crate) routes: Box<dyn Routes>,
    /// In front of the database.
    pub(crate) gate: Gate,
    pub(crate) bindings: Bindings,
    /// How many users may be bound, by the address of the client.
    pub(crate) new_users: Quota,
    pub(crate) metrics: TrackerMetrics,
    pub(crate) lines: Lines,
    started: Instant,
    /// The same for people, seconds since the epoch.
    pub(crate) up_since: i64,
}

/// What the database said when it was last asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// The groups that new users are given to.
    pub(crate) groups: BTreeSet<GroupName>,
    /// Those that are closed: they have users, and get no more.
    pub(crate) closed: BTreeSet<GroupName>,
    /// Why it did not say; then the groups are older.
    pub(crate) error: Option<String>,
    /// Which cluster it belongs to.
    pub(crate) cluster: ClusterName,
}

/// Which cluster the database belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum ClusterName {
    /// It did not say yet.
    #[default]
    Unread,
    /// To the one that the storages remember: an administrator said so.
    Storages,
    Is(ClusterId),
}

impl Known {
    /// Whether a group is in the database, open or closed.
    pub(crate) fn has(&self, group: &GroupName) -> bool {
        self.groups.contains(group) || self.closed.contains(group)
    }
}

impl Globals {
    /// Opens the database and enters the groups of the configuration.
    pub(crate) fn open(config: Config) -> anyhow::Result<Arc<Globals>> {
        let routes = db::open(&config).context("cannot open the database")?;
        let entered = routes.add_groups(&config.groups);
        let known = match entered.and_then(|()| routes.groups()) {
            // They are entered when it is there.
            Err(e) if e.is_awaited() => config.groups.clone(),
            known => known.context("cannot enter the groups in the database")?,
        };
        Ok(Arc::new(Globals::new(config, routes, known)))
    }

    /// Puts the parts together; `known` are the groups of the database.
    pub(crate) fn new(config: Config, routes: Box<dyn Routes>, known: Vec<GroupName>) -> Globals {
        let groups = Groups::new(config.member_limits());
        Globals {
            app_ids: RwLock::new(config.app_ids.clone()),
            groups: Mutex::new(groups),
            known: Mutex::new(Known {
                groups: known.into_iter().collect(),
                ..Known::default()
            }),
            wanted: Mutex::default(),
            refusals: Mutex::default(),
            guard: OrderVerifier::new(config.admin_key_file.clone()),
            allowed: AllowedHosts::new(config.allow_hosts.clone()),
            routes,
            gate: Gate::new(config.server.workers / 2),
            bindings: Bindings::new(&config.cache),
            new_users: Quota::new(config.new_user_limits()),
            metrics: TrackerMetrics::default(),
            lines: Lines::default(),
            started: Instant::now(),
            up_since: chrono::Utc::now().timestamp(),
            config,
        }
    }

    /// The groups that new users are given to, from the database; those that are to be entered are
    /// before.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn read_groups(&self) -> Result<Vec<GroupName>, DbError> {
        let groups = self.enter_wanted().and_then(|()| self.routes.groups());
        if groups.is_ok() && self.known.lock().cluster == ClusterName::Unread {
            self.read_cluster();
        }
        let mut known = self.known.lock();
        match &groups {
            Ok(groups) => {
                known.groups = groups.iter().cloned().collect();
                known.error = None;
            }
            Err(e) => known.error = Some(e.to_string()),
        }
        groups
    }

    /// The same, and the groups that are closed; then all there are is known.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn read_all_groups(&self) -> Result<(), DbError> {
        self.read_groups()?;
        let closed = self.routes.closed_groups()?;
        let mut known = self.known.lock();
        known.closed = closed.into_iter().collect();
        let all = known.groups.union(&known.closed).cloned().collect();
        drop(known);
        self.groups.lock().register(all);
        self.read_cluster();
        Ok(())
    }

    /// Reads which cluster the database belongs to, and gives it the id of the storages if that is
    /// wanted. Without an answer what was read before holds.
    fn read_cluster(&self) {
        let read = self.routes.cluster().and_then(|cluster| match cluster {
            Some(cluster) => Ok(ClusterName::Is(cluster)),
            None => self.adopt_cluster(),
        });
        match read {
            Ok(cluster) => self.known.lock().cluster = cluster,
            Err(e) => {
                if let Some(more) = self.lines.due(Line::NoCluster) {
                    let e = anyhow::Error::from(e);
                    debug!("which cluster the database belongs to is not known: {e:#}{more}");
                }
            }
        }
    }

    fn adopt_cluster(&self) -> Result<ClusterName, DbError> {
        let remembered = self.groups.lock().rival(None);
        let Some(Rival { cluster, .. }) = remembered else {
            return Ok(ClusterName::Storages);
        };
        self.routes.name_cluster(&cluster)?;
        info!("the database belongs to cluster {cluster} from now on");
        // Another tracker may have been faster.
        let named = self.routes.cluster()?;
        Ok(named.map_or(ClusterName::Storages, ClusterName::Is))
    }

    /// Why the database is not the one that the storages know, if that is so: then whoever is bound
    /// in it may have files in another group.
    pub(crate) fn foreign_database(&self) -> Option<String> {
        let own = self.own_cluster()?;
        let rival = self.groups.lock().rival(Some(&own))?;
        Some(format!(
            "the database is not the one that the storages know: {} of them belong to cluster {}, \
             {} to the database's {own}",
            rival.members, rival.cluster, rival.loyal
        ))
    }

    /// The cluster a storage is told that knows none: none while it may be the wrong one.
    pub(crate) fn cluster_for_new(&self) -> Option<ClusterId> {
        let own = self.own_cluster()?;
        let rival = self.groups.lock().rival(Some(&own));
        rival.is_none().then_some(own)
    }

    fn own_cluster(&self) -> Option<ClusterId> {
        match &self.known.lock().cluster {
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

    /// Serves other applications, and takes on other limits. New users are given to more groups as
    /// soon as the database has them, which nothing here waits for.
    pub(crate) fn reload(&self, config: &Config) {
        self.wanted.lock().clone_from(&config.groups);
        self.app_ids.write().clone_from(&config.app_ids);
        self.guard.reload(config.admin_key_file.clone());
        self.allowed.reload(&config.allow_hosts);
        self.groups.lock().limit(config.member_limits());
        self.bindings.reload(&config.cache);
        self.new_users.reload(config.new_user_limits());
    }

    /// The time, as the pure parts want it.
    pub(crate) fn now(&self) -> Now {
        Now {
            elapsed: self.started.elapsed(),
            epoch: chrono::Utc::now().timestamp(),
        }
    }
}
