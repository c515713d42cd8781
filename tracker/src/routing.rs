//! Which group a user has, and which storages of it a client is sent to.

use std::net::IpAddr;
use std::sync::Arc;

use base::LogThrottle;
use db::DbError;
use log::warn;
use net::quota::Exhausted;
use proto::tracker::{Saddrs, SaddrsReply};
use proto::{Address, AppId, ErrorCode, Fault, GroupName, UserId};
use rand::seq::IndexedRandom;

use crate::cache::Known;
use crate::db::Binding;
use crate::globals::Globals;

/// What a client wants to do with the storages it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Upload: a user without a group is bound to one.
    Upload,
    /// Anything else: nothing is written.
    Look,
}

/// Answers SADDRS and LOOKUP.
pub(crate) struct Router {
    globals: Arc<Globals>,
    log: LogThrottle<Kind>,
}

/// What the log tells about.
#[derive(PartialEq)]
enum Kind {
    Away,
    NotEntered,
}

/// What is known of a user's group, and from where.
struct Found {
    group: GroupName,
    /// Whether the database said so just now: nothing else makes a remembered group fresh.
    was_read: bool,
}

impl Router {
    pub(crate) fn new(globals: Arc<Globals>) -> Router {
        Router {
            globals,
            log: LogThrottle::default(),
        }
    }

    /// The user's group and up to three of its storages. Only what led somewhere is remembered.
    ///
    /// # Errors
    /// Bad request for an unknown application; not found for a user without a group who is only
    /// looked for; busy when too many users are new; unavailable when the database does not answer
    /// or no storage of the group is active.
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
        let mark = globals.bindings.mark();
        let known = globals.bindings.get(&app, &user, now);
        let is_hit = matches!(known, Some(Known::Fresh(_)));
        globals.metrics.bindings.count(is_hit);
        let question = Question {
            app: &app,
            user: &user,
            client,
            purpose,
        };
        let Found { group, was_read } = match known {
            Some(Known::Fresh(group)) => Found {
                group,
                was_read: false,
            },
            Some(Known::Stale(group)) => self.read(question, Some(group))?,
            None => self.read(question, None)?,
        };
        let addresses = self.storages(&group, question)?;
        if was_read {
            globals.bindings.put(app, user, group.clone(), mark, now);
        }
        Ok(SaddrsReply { group, addresses })
    }

    fn storages(&self, group: &GroupName, question: Question<'_>) -> Result<Vec<Address>, Fault> {
        let chance = rand::random::<u64>() as usize;
        let groups = self.globals.groups.lock();
        let active = groups.active(group, chance, question.client);
        if !active.is_empty() {
            return Ok(active.into_iter().map(Address::from).collect());
        }
        let why = groups.why_none(group);
        drop(groups);
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let Question { app, user, .. } = question;
        let message = format!("no active storage in group {group} of {app}/{user}{why}");
        Err(unavailable(message))
    }

    /// Asks the database for the user's group, and binds the user if that is wanted. `stale` is what
    /// was known: it serves while the database cannot be asked, and does not become fresh by that.
    fn read(&self, question: Question<'_>, stale: Option<GroupName>) -> Result<Found, Fault> {
        let unread = |group| Found {
            group,
            was_read: false,
        };
        let Some(_pass) = self.globals.gate.enter() else {
            let stale = stale.map(unread);
            return stale.ok_or_else(|| unavailable("the database does not keep up"));
        };
        let Question { app, user, .. } = question;
        match (self.globals.routes.find(app, user), stale) {
            (Ok(Some(binding)), _) => Ok(self.follow(question, binding)),
            (Ok(None), _) if question.purpose == Purpose::Look => {
                // The right database may know better.
                self.check_database(question)?;
                Err(no_group(question))
            }
            (Ok(None), _) => self.choose(question).map(|group| Found {
                group,
                was_read: true,
            }),
            (Err(e), Some(group)) => {
                if let Some(more) = self.log.due(Kind::Away) {
                    let error = anyhow::Error::from(e);
                    warn!("{app}/{user} is sent to {group} as before: {error:#}{more}");
                }
                Ok(unread(group))
            }
            (Err(e), None) => Err(db_fault(e)),
        }
    }

    /// Goes by what the database says. A user who uploads gets a row where there is none of exactly
    /// this user: without one the user would move along with another of a similar name.
    fn follow(&self, question: Question<'_>, binding: Binding) -> Found {
        let Question { app, user, .. } = question;
        let Binding { group, is_own } = binding;
        if is_own || question.purpose == Purpose::Look {
            return Found {
                group,
                was_read: is_own,
            };
        }
        let entered = self.bind(question, &group).inspect_err(|fault| {
            if let Some(more) = self.log.due(Kind::NotEntered) {
                warn!("no row is made for {app}/{user}, who is in {group}: {fault}{more}");
            }
        });
        let was_read = entered.is_ok();
        Found {
            group: entered.unwrap_or(group),
            was_read,
        }
    }

    /// Binds a new user to one of the groups that can take files now.
    fn choose(&self, question: Question<'_>) -> Result<GroupName, Fault> {
        let globals = &self.globals;
        let known = globals.read_groups().map_err(db_fault)?;
        let takers = globals.groups.lock().with_takers();
        let candidates: Vec<_> = known.iter().filter(|g| takers.contains(g)).collect();
        match candidates.choose(&mut rand::rng()) {
            Some(candidate) => self.bind(question, candidate),
            None => Err(self.no_taker(question, &known)),
        }
    }

    /// Why a new user cannot be given to any group; `open` are those that take new users at all.
    fn no_taker(&self, Question { app, user, .. }: Question<'_>, open: &[GroupName]) -> Fault {
        if !open.is_empty() {
            return unavailable(format!(
                "no group has an active storage that takes uploads for {app}/{user}"
            ));
        }
        match self.globals.routes.closed_groups() {
            Err(e) => db_fault(e),
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

    /// Refuses a user of whom the database knows nothing while it is not the one that the storages
    /// know: the user may have files in any group.
    fn check_database(&self, Question { app, user, .. }: Question<'_>) -> Result<(), Fault> {
        match self.globals.foreign_database() {
            Some(why) => Err(unavailable(format!(
                "{app}/{user} has no group here, and {why}"
            ))),
            None => Ok(()),
        }
    }

    /// Makes the user's row, unless too many were made of late.
    fn bind(&self, question: Question<'_>, group: &GroupName) -> Result<GroupName, Fault> {
        self.check_database(question)?;
        let globals = &self.globals;
        let Question {
            app, user, client, ..
        } = question;
        if let Err(exhausted) = globals.new_users.take(client) {
            globals.metrics.refused_users.inc();
            let (whose, setting) = match exhausted {
                Exhausted::Peer => (format!("from {client}"), "new_users_per_address"),
                Exhausted::All => ("in all".to_owned(), "new_users_per_minute"),
            };
            let message = format!("too many new users {whose} within a minute, see {setting}");
            return Err(Fault::new(ErrorCode::Busy, message));
        }
        let bound = globals.routes.bind(app, user, group).map_err(db_fault)?;
        globals.metrics.new_users.inc();
        Ok(bound)
    }
}

/// Who asks for whose storages, and for what.
#[derive(Clone, Copy)]
struct Question<'a> {
    app: &'a AppId,
    user: &'a UserId,
    client: IpAddr,
    purpose: Purpose,
}

fn no_group(Question { app, user, .. }: Question<'_>) -> Fault {
    let message = format!("{app}/{user} has no group: nothing was uploaded for this user");
    Fault::new(ErrorCode::NotFound, message)
}

fn unavailable(message: impl Into<String>) -> Fault {
    Fault::new(ErrorCode::Unavailable, message)
}

/// What went wrong with the database: asking again is safe, and another tracker may know. Only a name
/// that the database cannot hold fails everywhere and always.
pub(crate) fn db_fault(error: DbError) -> Fault {
    let fault = Fault::from(error);
    match fault.code {
        ErrorCode::BadRequest => fault,
        _ => Fault {
            code: ErrorCode::Unavailable,
            ..fault
        },
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_name_that_does_not_fit_is_no_outage() {
        let source = Arc::new(io::Error::other("1366"));
        let unfit = DbError::Unfit { source };
        assert_eq!(db_fault(unfit).code, ErrorCode::BadRequest);
        let unknown = DbError::UnknownOutcome { source: None };
        assert_eq!(db_fault(unknown).code, ErrorCode::Unavailable);
    }
}
