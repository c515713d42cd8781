//! Answers SADDRS and LOOKUP: finds the group of a user and the storages to send a client to.

use std::net::IpAddr;
use std::sync::Arc;

use base::LogThrottle;
use db::DbError;
use log::warn;
use net::quota::Exhausted;
use proto::tracker::{Saddrs, SaddrsReply};
use proto::{Address, AppId, ErrorCode, Fault, GroupName, UserId};
use rand::seq::IndexedRandom;

use crate::cache::CachedGroup;
use crate::db::Binding;
use crate::globals::Globals;

/// Why a client asks for storages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A user without a group is bound to one.
    Upload,
    /// Nothing is written.
    Lookup,
}

pub(crate) struct Router {
    globals: Arc<Globals>,
    log: LogThrottle<LogKind>,
}

/// The kinds of log lines.
#[derive(PartialEq)]
enum LogKind {
    Away,
    NotEntered,
}

/// A user's group and its source.
struct Found {
    group: GroupName,
    /// True when the group was read from the database just now: only then it goes into the cache.
    was_read: bool,
}

impl Router {
    pub(crate) fn new(globals: Arc<Globals>) -> Router {
        Router {
            globals,
            log: LogThrottle::default(),
        }
    }

    /// The user's group and up to three of its storages. A group without an active storage is not cached.
    ///
    /// # Errors
    /// Bad request for an unknown application; not found when a lookup names a user without a group; busy
    /// when too many users are new; unavailable when the database does not answer or no storage of the
    /// group is active.
    pub(crate) fn route(
        &self,
        Saddrs { app, user, .. }: Saddrs,
        client: IpAddr,
        purpose: Purpose,
    ) -> Result<SaddrsReply, Fault> {
        let globals = &self.globals;
        if !globals.app_ids.read().contains(&app) {
            let message = format!("unknown appid: {app}");
            return Err(Fault::new(ErrorCode::BadRequest, message));
        }
        let now = globals.now().elapsed;
        let generation = globals.bindings.generation();
        let cached = globals.bindings.get(&app, &user, now);
        let is_hit = matches!(cached, Some(CachedGroup::Fresh(_)));
        globals.metrics.bindings.count(is_hit);
        let query = UserQuery {
            app: &app,
            user: &user,
            client,
            purpose,
        };
        let Found { group, was_read } = match cached {
            Some(CachedGroup::Fresh(group)) => Found {
                group,
                was_read: false,
            },
            Some(CachedGroup::Stale(group)) => self.read(query, Some(group))?,
            None => self.read(query, None)?,
        };
        let addresses = self.storages(&group, query)?;
        if was_read {
            globals
                .bindings
                .put(app, user, group.clone(), generation, now);
        }
        Ok(SaddrsReply { group, addresses })
    }

    fn storages(&self, group: &GroupName, query: UserQuery<'_>) -> Result<Vec<Address>, Fault> {
        let chance = rand::random::<u64>() as usize;
        let groups = self.globals.groups.lock();
        let active = groups.active(
            group,
            chance,
            query.client,
            query.purpose == Purpose::Lookup,
        );
        if !active.is_empty() {
            return Ok(active.into_iter().map(Address::from).collect());
        }
        let why = groups.no_offer_reason(group);
        drop(groups);
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let UserQuery { app, user, .. } = query;
        let message = format!("no active storage in group {group} of {app}/{user}{why}");
        Err(unavailable(message))
    }

    /// Reads the user's group from the database, and binds a new user who uploads. While the database does
    /// not answer, the `stale` group is used and stays stale.
    fn read(&self, query: UserQuery<'_>, stale: Option<GroupName>) -> Result<Found, Fault> {
        let unread = |group| Found {
            group,
            was_read: false,
        };
        let Some(_permit) = self.globals.database_limit.acquire() else {
            let stale = stale.map(unread);
            return stale.ok_or_else(|| unavailable("the database does not keep up"));
        };
        let UserQuery { app, user, .. } = query;
        match (self.globals.routes.find(app, user), stale) {
            (Ok(Some(binding)), _) => Ok(self.follow(query, binding)),
            (Ok(None), _) if query.purpose == Purpose::Lookup => {
                self.check_database(query)?;
                Err(no_group(query))
            }
            (Ok(None), _) => self.choose(query).map(|group| Found {
                group,
                was_read: true,
            }),
            (Err(e), Some(group)) => {
                if let Some(more) = self.log.due(LogKind::Away) {
                    let error = anyhow::Error::from(e);
                    warn!("{app}/{user} is sent to {group} as before: {error:#}{more}");
                }
                Ok(unread(group))
            }
            (Err(e), None) => Err(e.retryable_fault()),
        }
    }

    /// The group of a binding. A user who uploads and has no row of exactly this name gets one: otherwise
    /// the user would move along with another user of a similar name.
    fn follow(&self, query: UserQuery<'_>, binding: Binding) -> Found {
        let UserQuery { app, user, .. } = query;
        let Binding { group, is_own } = binding;
        if is_own || query.purpose == Purpose::Lookup {
            return Found {
                group,
                was_read: is_own,
            };
        }
        let entered = self.bind(query, &group).inspect_err(|fault| {
            if let Some(more) = self.log.due(LogKind::NotEntered) {
                warn!("no row is made for {app}/{user}, who is in {group}: {fault}{more}");
            }
        });
        let was_read = entered.is_ok();
        Found {
            group: entered.unwrap_or(group),
            was_read,
        }
    }

    /// Binds a new user to a random group that accepts uploads now.
    fn choose(&self, query: UserQuery<'_>) -> Result<GroupName, Fault> {
        let globals = &self.globals;
        let cached = globals.read_groups().map_err(DbError::retryable_fault)?;
        let accepting = globals.groups.lock().accepting_uploads();
        let candidates: Vec<_> = cached.iter().filter(|g| accepting.contains(g)).collect();
        match candidates.choose(&mut rand::rng()) {
            Some(candidate) => self.bind(query, candidate),
            None => Err(self.no_group_reason(query, &cached)),
        }
    }

    /// Why no group accepts a new user; `open` are the groups that are open to new users.
    fn no_group_reason(
        &self,
        UserQuery { app, user, .. }: UserQuery<'_>,
        open: &[GroupName],
    ) -> Fault {
        if !open.is_empty() {
            return unavailable(format!(
                "no group has an active storage that takes uploads for {app}/{user}"
            ));
        }
        match self.globals.routes.closed_groups() {
            Err(e) => e.retryable_fault(),
            Ok(closed) if closed.is_empty() => unavailable(format!(
                "{app}/{user} is new, and the database has no group for new users"
            )),
            Ok(closed) => {
                let closed: Vec<&str> = closed.iter().map(GroupName::as_str).collect();
                unavailable(format!(
                    "{app}/{user} is new, and every group is closed to new users: {}",
                    closed.join(", ")
                ))
            }
        }
    }

    /// Refuses a user without a row while the database is not the one that the storages know: the user may
    /// have files in any group.
    fn check_database(&self, UserQuery { app, user, .. }: UserQuery<'_>) -> Result<(), Fault> {
        match self.globals.foreign_database() {
            Some(why) => Err(unavailable(format!(
                "{app}/{user} has no group here, and {why}"
            ))),
            None => Ok(()),
        }
    }

    /// Makes the user's row, within the limits on new users.
    fn bind(&self, query: UserQuery<'_>, group: &GroupName) -> Result<GroupName, Fault> {
        self.check_database(query)?;
        let globals = &self.globals;
        let UserQuery {
            app, user, client, ..
        } = query;
        if let Err(exhausted) = globals.new_users.take(client) {
            globals.metrics.refused_users.inc();
            let (whose, setting) = match exhausted {
                Exhausted::Peer => (format!("from {client}"), "new_users_per_address"),
                Exhausted::All => ("in all".to_owned(), "new_users_per_minute"),
            };
            let message = format!("too many new users {whose} within a minute, see {setting}");
            return Err(Fault::new(ErrorCode::Busy, message));
        }
        let bound = globals
            .routes
            .bind(app, user, group)
            .map_err(DbError::retryable_fault)?;
        globals.metrics.new_users.inc();
        Ok(bound)
    }
}

/// A request for the storages of a user.
#[derive(Clone, Copy)]
struct UserQuery<'a> {
    app: &'a AppId,
    user: &'a UserId,
    client: IpAddr,
    purpose: Purpose,
}

fn no_group(UserQuery { app, user, .. }: UserQuery<'_>) -> Fault {
    let message = format!("{app}/{user} has no group: nothing was uploaded for this user");
    Fault::new(ErrorCode::NotFound, message)
}

fn unavailable(message: impl Into<String>) -> Fault {
    Fault::new(ErrorCode::Unavailable, message)
}
