//! What a tracker does with a request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use log::{info, warn};
use net::WorkerPool;
use net::admin::{Challenge, OrderVerifier};
use net::wire::{Caller, Reply, Service};
use proto::hello::{Hello, Welcome};
use proto::report::Report;
use proto::tracker::{ADMIN, CLUSTER, GROUPS, Join, LOOKUP, Member, SADDRS, TrackerRequest};
use proto::{ErrorCode, Fault};

use crate::admin;
use crate::globals::Globals;
use crate::groups::{Joined, State, Ticket};
use crate::lines::Line;
use crate::listing::{self, Kept};
use crate::overview;
use crate::place;
use crate::refusals::Who;
use crate::routing::{Purpose, Router};

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
    router: Router,
}

impl TrackerService {
    pub(crate) fn new(globals: Arc<Globals>) -> TrackerService {
        TrackerService {
            router: Router::new(Arc::clone(&globals)),
            globals,
            groups: Kept::default(),
            cluster: Kept::default(),
        }
    }

    /// The reply's body: an earlier storage expects none.
    fn hello(&self, hello: Hello, session: &mut Session) -> Vec<u8> {
        let globals = &self.globals;
        let body = if hello.remembers {
            let is_new = hello.cluster.is_none();
            let cluster = is_new.then(|| globals.cluster_for_new()).flatten();
            Welcome { cluster }.encode()
        } else {
            Vec::new()
        };
        if let Some(ticket) = &session.ticket {
            let cluster = hello.cluster.clone();
            globals.groups.lock().note_cluster(ticket, cluster);
        }
        session.hello = Some(hello);
        body
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
        let networks = &globals.config.check_networks;
        let place = place::of(session.hello.as_ref(), ip_of(peer), join.port, networks);
        let entered = place.and_then(|place| {
            let at = place.addr;
            let joined = globals.groups.lock().join(place, join, now)?;
            Ok((at, joined))
        });
        let entered = entered.inspect_err(|fault| {
            let text = format!("{text} from {}: {fault}", ip_of(peer));
            if globals.refusals.lock().note(who.clone(), &text, now.epoch)
                && let Some(more) = globals.lines.due(Line::JoinRefused)
            {
                warn!("join is refused: {text}{more}");
            }
        });
        let (at, joined) = entered?;
        globals.refusals.lock().forget(&who);
        self.tell_of_join(&text, peer, at, &joined);
        session.ticket = Some(joined.ticket);
        Ok(())
    }

    fn tell_of_join(&self, text: &str, peer: SocketAddr, at: SocketAddr, joined: &Joined) {
        let Globals { lines, known, .. } = &*self.globals;
        if let Some(more) = lines.due(Line::Joined) {
            info!("{peer} join: {text} at {at}{more}");
        }
        if let Some(member) = &joined.replaced
            && let Some(more) = lines.due(Line::Moved)
        {
            info!("{text} was at {} before{more}", member.addr);
        }
        if let Some(member) = &joined.forgotten
            && let Some(more) = lines.due(Line::MadeRoom)
        {
            let name = &member.join.member;
            warn!(
                "{} is forgotten to make room: {}/{}{more}",
                member.addr, name.group, name.hostname
            );
        }
        let group = joined.ticket.group();
        if joined.is_new
            && !known.lock().has(group)
            && let Some(more) = lines.due(Line::Unregistered)
        {
            warn!("{at}: no user is given to {group}, which is not in the database{more}");
        }
    }

    fn beat(&self, name: &Member, peer: SocketAddr, session: &Session) -> Result<(), Fault> {
        let mut groups = self.globals.groups.lock();
        let ticket = match &session.ticket {
            Some(ticket) => {
                check_group(name, ticket)?;
                Some(ticket.clone())
            }
            None => groups.find(name, ip_of(peer)),
        };
        let before = ticket.and_then(|ticket| groups.beat(&ticket, self.globals.now()));
        drop(groups);
        let before = before.ok_or_else(|| self.not_joined(name, session))?;
        if before.state != State::Active
            && let Some(more) = self.globals.lines.due(Line::Active)
        {
            let Member { group, hostname } = name;
            info!("{peer} beat: {group}/{hostname} is active{more}");
        }
        Ok(())
    }

    fn report(&self, name: &Member, report: Report, session: &Session) -> Result<(), Fault> {
        let not_joined = || self.not_joined(name, session);
        let ticket = session.ticket.as_ref().ok_or_else(not_joined)?;
        check_group(name, ticket)?;
        let now = Arc::new(report);
        let mut groups = self.globals.groups.lock();
        let before = groups.report(ticket, Arc::clone(&now), self.globals.now());
        drop(groups);
        let before = before.ok_or_else(not_joined)?;
        let text = format!("{} {}/{}", before.addr, name.group, name.hostname);
        self.tell_of_report(&text, &before.report.unwrap_or_default(), &now);
        Ok(())
    }

    fn tell_of_report(&self, text: &str, before: &Report, now: &Report) {
        let due = || self.globals.lines.due(Line::Reported);
        if before.drain != now.drain
            && let Some(more) = due()
        {
            info!("{text} is drained of: {}{more}", now.drain.as_str());
        }
        if before.uploads != now.uploads
            && let Some(more) = due()
        {
            if now.uploads {
                info!("{text} takes uploads again{more}");
            } else {
                warn!("{text} takes no uploads{more}");
            }
        }
        if before.downloads != now.downloads
            && let Some(more) = due()
        {
            if now.downloads {
                info!("{text} serves downloads again{more}");
            } else {
                warn!("{text} serves no downloads{more}");
            }
        }
    }

    fn leave(&self, name: &Member, peer: SocketAddr, session: &mut Session) -> Result<(), Fault> {
        let not_joined = |session: &Session| self.not_joined(name, session);
        let ticket = session.ticket.as_ref().ok_or_else(|| not_joined(session))?;
        check_group(name, ticket)?;
        let left = self.globals.groups.lock().leave(ticket);
        let left = left.ok_or_else(|| not_joined(session));
        session.ticket = None;
        let member = left?;
        if let Some(more) = self.globals.lines.due(Line::Left) {
            let Member { group, hostname } = name;
            info!("{peer} leave: {group}/{hostname} at {}{more}", member.addr);
        }
        Ok(())
    }

    /// Why a connection does not speak for a member.
    fn not_joined(&self, name: &Member, session: &Session) -> Fault {
        let node = session.hello.as_ref().map(|hello| &hello.node);
        let groups = self.globals.groups.lock();
        let successor = session.ticket.as_ref();
        let successor = successor.and_then(|ticket| groups.successor(ticket, node));
        let successor = successor.map(|member| (member.peer, member.addr));
        drop(groups);
        let Member { group, hostname } = name;
        let message = match (successor, &session.ticket) {
            (Some((peer, addr)), _) => format!(
                "another connection, from {peer}, joined as this member since: {group}/{hostname} at {addr}"
            ),
            (None, Some(_)) => format!("{group}/{hostname} is no member any more"),
            (None, None) => format!("{group}/{hostname} has not joined on this connection"),
        };
        Fault::new(ErrorCode::NotFound, message)
    }

    /// The reply's body: everybody as of now or, when there are many, of just before.
    fn list(&self, kept: &Kept, make: fn(&Globals) -> Vec<u8>) -> Reply {
        let globals = &*self.globals;
        let n_members = globals.groups.lock().len();
        Reply::Shared(kept.body(n_members, globals.now().elapsed, || make(globals)))
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

impl Service for TrackerService {
    type Request = TrackerRequest;
    type Session = Session;

    /// SADDRS and LOOKUP may wait for the database, and the lists may be long.
    fn pool(&self, command: u8) -> WorkerPool {
        match command {
            SADDRS | LOOKUP | GROUPS | CLUSTER | ADMIN => WorkerPool::Slow,
            _ => WorkerPool::Fast,
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
            TrackerRequest::Groups => return Ok(self.list(&self.groups, listing::groups)),
            TrackerRequest::Cluster => return Ok(self.list(&self.cluster, overview::cluster)),
            TrackerRequest::Saddrs(saddrs) => {
                let reply = self.router.route(saddrs, ip_of(peer), Purpose::Upload);
                reply.map(|reply| reply.encode())
            }
            TrackerRequest::Lookup(saddrs) => {
                let reply = self.router.route(saddrs, ip_of(peer), Purpose::Look);
                reply.map(|reply| reply.encode())
            }
            TrackerRequest::Challenge => {
                Ok(OrderVerifier::challenge(&mut session.challenge).to_vec())
            }
            TrackerRequest::Admin(signed) => {
                let challenge = &mut session.challenge;
                let order = self.globals.guard.open(&signed, &[()], challenge, peer);
                order.and_then(|order| admin::obey(&self.globals, order, peer))
            }
            TrackerRequest::Hello(hello) => Ok(self.hello(*hello, session)),
        };
        body.map(Reply::Body)
    }
}

#[cfg(test)]
mod tests;
