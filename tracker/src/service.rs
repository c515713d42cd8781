//! What a tracker does with a request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use daemon::admin::{Challenge, Guard};
use daemon::db::DbError;
use daemon::logging::Seldom;
use daemon::wire::{Caller, Lane, Reply, Service};
use log::{info, warn};
use proto::hello::Hello;
use proto::report::Report;
use proto::tracker::{
    ADMIN, CLUSTER, GROUPS, Join, Member, SADDRS, Saddrs, SaddrsReply, TrackerRequest,
};
use proto::{Address, AppId, ErrorCode, Fault, GroupName, UserId};
use rand::seq::IndexedRandom;

use crate::admin;
use crate::cache::Known;
use crate::globals::Globals;
use crate::groups::{State, Ticket};
use crate::listing::{self, Kept};
use crate::overview;
use crate::place;
use crate::refusals::Who;

/// What is remembered of a connection.
#[derive(Default)]
pub(crate) struct Session {
    /// Who said hello on it.
    hello: Option<Hello>,
    /// Who joined on it.
    ticket: Option<Ticket>,
    /// For an order of an administrator.
    challenge: Challenge,
}

pub(crate) struct TrackerService {
    globals: Arc<Globals>,
    groups: Kept,
    cluster: Kept,
    /// Says that the database is away.
    away: Seldom<()>,
}

impl TrackerService {
    pub(crate) fn new(globals: Arc<Globals>) -> TrackerService {
        TrackerService {
            globals,
            groups: Kept::default(),
            cluster: Kept::default(),
            away: Seldom::default(),
        }
    }

    fn join(&self, join: Join, peer: SocketAddr, session: &mut Session) -> Result<(), Fault> {
        if join.port == 0 {
            return Err(Fault::new(ErrorCode::BadRequest, "port is 0"));
        }
        let globals = &self.globals;
        let text = format!("{}/{}", join.member.group, join.member.hostname);
        let now = globals.now();
        let who = Who {
            ip: ip_of(peer),
            port: join.port,
            node: session.hello.as_ref().map(|hello| hello.node.clone()),
        };
        let entered = place::of(session.hello.as_ref(), ip_of(peer), join.port).and_then(|place| {
            let at = place.addr;
            let joined = globals.groups.lock().join(place, join, now)?;
            Ok((at, joined))
        });
        let entered = entered.inspect_err(|fault| {
            let text = format!("{text} from {}: {fault}", ip_of(peer));
            if globals.refusals.lock().note(who.clone(), &text, now.epoch) {
                warn!("join is refused: {text}");
            }
        });
        let (at, joined) = entered?;
        globals.refusals.lock().forget(&who);
        info!("{peer} join: {text} at {at}");
        if let Some(member) = &joined.replaced {
            info!("{text} was at {} before", member.addr);
        }
        if let Some(member) = &joined.forgotten {
            let name = &member.join.member;
            warn!(
                "{} is forgotten to make room: {}/{}",
                member.addr, name.group, name.hostname
            );
        }
        let group = joined.ticket.group();
        if joined.is_new && !globals.known.lock().has(group) {
            warn!("{at}: no user is given to {group}, which is not in the database");
        }
        session.ticket = Some(joined.ticket);
        Ok(())
    }

    fn beat(&self, name: &Member, peer: SocketAddr, session: &Session) -> Result<(), Fault> {
        let unknown = || {
            let message = format!("{}/{} has not joined", name.group, name.hostname);
            Fault::new(ErrorCode::NotFound, message)
        };
        let mut groups = self.globals.groups.lock();
        let ticket = match &session.ticket {
            Some(ticket) => {
                check_group(name, ticket)?;
                ticket.clone()
            }
            None => groups.find(name, ip_of(peer)).ok_or_else(unknown)?,
        };
        let before = groups.beat(&ticket, self.globals.now());
        drop(groups);
        let before = before.ok_or_else(unknown)?;
        if before.state != State::Active {
            info!("{peer} beat: {}/{} is active", name.group, name.hostname);
        }
        Ok(())
    }

    fn report(&self, name: &Member, report: Report, session: &Session) -> Result<(), Fault> {
        let elsewhere = || Fault::new(ErrorCode::NotFound, "no member joined on this connection");
        let ticket = session.ticket.as_ref().ok_or_else(elsewhere)?;
        check_group(name, ticket)?;
        let now = Arc::new(report);
        let mut groups = self.globals.groups.lock();
        let before = groups.report(ticket, Arc::clone(&now));
        drop(groups);
        let before = before.ok_or_else(elsewhere)?;
        let text = format!("{} {}/{}", before.addr, name.group, name.hostname);
        let before = before.report.unwrap_or_default();
        if before.drain != now.drain {
            info!("{text} is drained of: {}", now.drain.as_str());
        }
        match (before.uploads, now.uploads) {
            (true, false) => warn!("{text} takes no uploads"),
            (false, true) => info!("{text} takes uploads again"),
            _ => {}
        }
        match (before.downloads, now.downloads) {
            (true, false) => warn!("{text} serves no downloads"),
            (false, true) => info!("{text} serves downloads again"),
            _ => {}
        }
        Ok(())
    }

    fn leave(&self, name: &Member, peer: SocketAddr, session: &mut Session) -> Result<(), Fault> {
        if let Some(ticket) = &session.ticket {
            check_group(name, ticket)?;
            let left = self.globals.groups.lock().leave(ticket);
            session.ticket = None;
            if let Some(member) = left {
                info!(
                    "{peer} leave: {}/{} at {}",
                    name.group, name.hostname, member.addr
                );
                return Ok(());
            }
        }
        let message = "not the connection that this member joined on last";
        Err(Fault::new(ErrorCode::NotFound, message))
    }

    /// The reply's body: everybody as of now or, when there are many, of just before.
    fn list(&self, kept: &Kept, make: fn(&Globals) -> Vec<u8>) -> Vec<u8> {
        let globals = &*self.globals;
        let n_members = globals.groups.lock().len();
        kept.body(n_members, globals.now().elapsed, || make(globals))
    }

    /// The user's group and where to go. Only what led somewhere is remembered.
    fn saddrs(
        &self,
        Saddrs { app, user, .. }: Saddrs,
        client: IpAddr,
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
        let (group, was_asked) = match known {
            Some(Known::Fresh(group)) => (group, false),
            Some(Known::Stale(group)) => (self.bound(&app, &user, Some(group))?, true),
            None => (self.bound(&app, &user, None)?, true),
        };
        let chance = rand::random::<u64>() as usize;
        let (active, why) = {
            let groups = globals.groups.lock();
            let active = groups.active(&group, chance, client);
            let why = active.is_empty().then(|| groups.why_none(&group));
            (active, why.flatten())
        };
        if active.is_empty() {
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let message = format!("no active storage in group {group} of {app}/{user}{why}");
            return Err(unavailable(message));
        }
        if was_asked {
            globals.bindings.put(app, user, group.clone(), mark, now);
        }
        let addresses = active.into_iter().map(Address::from).collect();
        Ok(SaddrsReply { group, addresses })
    }

    /// The group a user is bound to, from now on if not before. `stale` is what was known of it:
    /// with the database away that goes on to serve.
    fn bound(
        &self,
        app: &AppId,
        user: &UserId,
        stale: Option<GroupName>,
    ) -> Result<GroupName, Fault> {
        let Some(_pass) = self.globals.gate.enter() else {
            return stale.ok_or_else(|| unavailable("the database does not keep up"));
        };
        match (self.globals.routes.find(app, user), stale) {
            (Ok(Some(group)), _) => Ok(group),
            (Ok(None), _) => self.choose(app, user),
            (Err(e), Some(group)) => {
                if let Some(more) = self.away.due(()) {
                    let error = anyhow::Error::from(e);
                    warn!("{app}/{user} is sent to {group} as before: {error:#}{more}");
                }
                Ok(group)
            }
            (Err(e), None) => Err(db_fault(e)),
        }
    }

    /// Binds a new user to one of the groups that can take files now.
    fn choose(&self, app: &AppId, user: &UserId) -> Result<GroupName, Fault> {
        let globals = &self.globals;
        let known = globals.read_groups().map_err(db_fault)?;
        let takers = globals.groups.lock().with_takers();
        let candidates: Vec<_> = known.iter().filter(|g| takers.contains(g)).collect();
        let candidate = candidates.choose(&mut rand::rng()).ok_or_else(|| {
            unavailable(format!(
                "no group has an active storage that takes uploads for {app}/{user}"
            ))
        })?;
        globals.routes.bind(app, user, candidate).map_err(db_fault)
    }
}

/// A storage may reach us over IPv4 through an IPv6 socket; clients are told the IPv4 address.
fn ip_of(peer: SocketAddr) -> IpAddr {
    peer.ip().to_canonical()
}

/// Whether only a storage asks this: what it tells counts for all clients.
fn is_of_storages(request: &TrackerRequest) -> bool {
    matches!(
        request,
        TrackerRequest::Join(_)
            | TrackerRequest::Beat(_)
            | TrackerRequest::Leave(_)
            | TrackerRequest::Report(..)
            | TrackerRequest::Hello(_)
    )
}

/// A connection speaks for the member that joined on it and for no other.
fn check_group(name: &Member, ticket: &Ticket) -> Result<(), Fault> {
    if name.group == *ticket.group() {
        return Ok(());
    }
    let message = format!(
        "this connection joined {}, not {}",
        ticket.group(),
        name.group
    );
    Err(Fault::new(ErrorCode::BadRequest, message))
}

fn unavailable(message: impl Into<String>) -> Fault {
    Fault::new(ErrorCode::Unavailable, message)
}

/// Whatever went wrong with the database: asking again is safe, and another tracker may know.
pub(crate) fn db_fault(error: DbError) -> Fault {
    Fault {
        code: ErrorCode::Unavailable,
        ..Fault::from(error)
    }
}

impl Service for TrackerService {
    type Request = TrackerRequest;
    type Session = Session;

    /// SADDRS may wait for the database, and the lists may be long.
    fn lane(&self, command: u8) -> Lane {
        match command {
            SADDRS | GROUPS | CLUSTER | ADMIN => Lane::Slow,
            _ => Lane::Fast,
        }
    }

    fn call(
        &self,
        request: TrackerRequest,
        caller: &mut Caller<'_, Session>,
    ) -> Result<Reply, Fault> {
        let (peer, session) = (caller.peer, &mut *caller.session);
        if is_of_storages(&request) {
            self.globals.allowed.check(peer.ip())?;
        }
        let nothing = |()| Vec::new();
        let body = match request {
            TrackerRequest::Join(join) => self.join(join, peer, session).map(nothing),
            TrackerRequest::Beat(name) => self.beat(&name, peer, session).map(nothing),
            TrackerRequest::Leave(name) => self.leave(&name, peer, session).map(nothing),
            TrackerRequest::Report(name, report) => {
                self.report(&name, *report, session).map(nothing)
            }
            TrackerRequest::Groups => Ok(self.list(&self.groups, listing::groups)),
            TrackerRequest::Cluster => Ok(self.list(&self.cluster, overview::cluster)),
            TrackerRequest::Saddrs(saddrs) => {
                let reply = self.saddrs(saddrs, ip_of(peer));
                reply.map(|reply| reply.encode())
            }
            TrackerRequest::Challenge => Ok(Guard::challenge(&mut session.challenge).to_vec()),
            TrackerRequest::Admin(signed) => {
                let challenge = &mut session.challenge;
                let order = self.globals.guard.open(&signed, &(), challenge, peer);
                order.and_then(|order| admin::obey(&self.globals, order, peer))
            }
            TrackerRequest::Hello(hello) => {
                session.hello = Some(*hello);
                Ok(Vec::new())
            }
        };
        body.map(Reply::Body)
    }
}

#[cfg(test)]
mod tests;
