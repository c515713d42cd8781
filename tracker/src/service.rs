//! Answers the requests of storages, clients and administrators.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use log::{info, warn};
use net::admin::{Challenge, OrderVerifier};
use net::wire::{Caller, Reply, Service};
use net::{Part, WorkerPool};
use proto::hello::{Hello, Welcome};
use proto::report::Report;
use proto::tracker::{ADMIN, CLUSTER, GROUPS, Join, LOOKUP, Member, SADDRS, TrackerRequest};
use proto::{ErrorCode, Fault};

use crate::address_check;
use crate::admin;
use crate::cached_reply::CachedReply;
use crate::cluster_reply;
use crate::globals::Globals;
use crate::groups::{Joined, MemberHandle, State};
use crate::groups_reply;
use crate::log_lines::LogLine;
use crate::rejected_joins::PeerIdentity;
use crate::routing::{Purpose, Router};

/// The state of a connection.
#[derive(Default)]
pub(crate) struct Session {
    hello: Option<Hello>,
    /// The member that joined on it.
    handle: Option<MemberHandle>,
    /// The nonce for the next order of an administrator.
    challenge: Challenge,
}

pub(crate) struct TrackerService {
    globals: Arc<Globals>,
    groups: CachedReply,
    cluster: CachedReply,
    router: Router,
}

impl TrackerService {
    pub(crate) fn new(globals: Arc<Globals>) -> TrackerService {
        TrackerService {
            router: Router::new(Arc::clone(&globals)),
            globals,
            groups: CachedReply::default(),
            cluster: CachedReply::default(),
        }
    }

    /// Returns the reply's body: empty for an earlier storage, which expects none.
    fn hello(&self, hello: Hello, session: &mut Session) -> Vec<u8> {
        let globals = &self.globals;
        let body = if hello.remembers {
            let is_new = hello.cluster.is_none();
            let cluster = is_new.then(|| globals.cluster_for_new()).flatten();
            Welcome { cluster }.encode()
        } else {
            Vec::new()
        };
        if let Some(handle) = &session.handle {
            let cluster = hello.cluster.clone();
            globals.groups.lock().note_cluster(handle, cluster);
        }
        session.hello = Some(hello);
        body
    }

    fn join(&self, join: Join, peer: SocketAddr, session: &mut Session) -> Result<(), Fault> {
        if join.port == 0 {
            return Err(Fault::new(ErrorCode::BadRequest, "port is 0"));
        }
        let globals = &self.globals;
        let text = join.member.to_string();
        let now = globals.now();
        let identity = PeerIdentity {
            ip: ip_of(peer),
            port: join.port,
            node: session.hello.as_ref().map(|hello| hello.node.clone()),
        };
        let networks = &globals.config.check_networks;
        let checked =
            address_check::check(session.hello.as_ref(), ip_of(peer), join.port, networks);
        let entered = checked.and_then(|checked| {
            let at = checked.addr;
            let joined = globals.groups.lock().join(checked, join, now)?;
            Ok((at, joined))
        });
        let entered = entered.inspect_err(|fault| {
            if fault.code == ErrorCode::Exists {
                globals.metrics.refused_takeovers.inc();
            }
            let text = format!("{text} from {}: {fault}", ip_of(peer));
            if globals
                .rejected_joins
                .lock()
                .note(identity.clone(), &text, now.epoch)
                && let Some(more) = globals.log_lines.due(LogLine::JoinRefused)
            {
                warn!("join is refused: {text}{more}");
            }
        });
        let (at, joined) = entered?;
        globals.rejected_joins.lock().forget(&identity);
        self.log_join(&text, peer, at, &joined);
        session.handle = Some(joined.handle);
        Ok(())
    }

    fn log_join(&self, text: &str, peer: SocketAddr, at: SocketAddr, joined: &Joined) {
        let Globals {
            log_lines,
            directory,
            ..
        } = &*self.globals;
        if let Some(more) = log_lines.due(LogLine::Joined) {
            info!("{peer} join: {text} at {at}{more}");
        }
        if let Some(member) = &joined.replaced
            && let Some(more) = log_lines.due(LogLine::Moved)
        {
            info!("{text} was at {} before{more}", member.addr);
        }
        if let Some(member) = &joined.forgotten
            && let Some(more) = log_lines.due(LogLine::MadeRoom)
        {
            let (addr, name) = (member.addr, &member.join.member);
            warn!("{addr} is forgotten to make room: {name}{more}");
        }
        let group = joined.handle.group();
        if joined.is_new
            && !directory.lock().has(group)
            && let Some(more) = log_lines.due(LogLine::Unregistered)
        {
            warn!("{at}: no user is given to {group}, which is not in the database{more}");
        }
    }

    fn beat(&self, name: &Member, peer: SocketAddr, session: &Session) -> Result<(), Fault> {
        let mut groups = self.globals.groups.lock();
        let handle = match &session.handle {
            Some(handle) => {
                check_group(name, handle)?;
                Some(handle.clone())
            }
            None => groups.find(name, ip_of(peer)),
        };
        let before = handle.and_then(|handle| groups.beat(&handle, self.globals.now()));
        drop(groups);
        let before = before.ok_or_else(|| self.not_joined(name, session))?;
        if before.state != State::Active
            && let Some(more) = self.globals.log_lines.due(LogLine::Active)
        {
            info!("{peer} beat: {name} is active{more}");
        }
        Ok(())
    }

    fn report(&self, name: &Member, report: Report, session: &Session) -> Result<(), Fault> {
        let not_joined = || self.not_joined(name, session);
        let handle = session.handle.as_ref().ok_or_else(not_joined)?;
        check_group(name, handle)?;
        let now = Arc::new(report);
        let mut groups = self.globals.groups.lock();
        let before = groups.report(handle, Arc::clone(&now), self.globals.now());
        drop(groups);
        let before = before.ok_or_else(not_joined)?;
        let text = format!("{} {name}", before.addr);
        self.log_report(&text, &before.report.unwrap_or_default(), &now);
        Ok(())
    }

    fn log_report(&self, text: &str, before: &Report, now: &Report) {
        let due = || self.globals.log_lines.due(LogLine::Reported);
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
        let handle = session.handle.as_ref().ok_or_else(|| not_joined(session))?;
        check_group(name, handle)?;
        let left = self.globals.groups.lock().leave(handle);
        let left = left.ok_or_else(|| not_joined(session));
        session.handle = None;
        let member = left?;
        if let Some(more) = self.globals.log_lines.due(LogLine::Left) {
            info!("{peer} leave: {name} at {}{more}", member.addr);
        }
        Ok(())
    }

    /// The refusal of a request about a member that did not join on this connection.
    fn not_joined(&self, name: &Member, session: &Session) -> Fault {
        let node = session.hello.as_ref().map(|hello| &hello.node);
        let groups = self.globals.groups.lock();
        let successor = session.handle.as_ref();
        let successor = successor.and_then(|handle| groups.successor(handle, node));
        let successor = successor.map(|member| (member.peer, member.addr));
        drop(groups);
        let message = match (successor, &session.handle) {
            (Some((peer, addr)), _) => format!(
                "another connection, from {peer}, joined as this member since: {name} at {addr}"
            ),
            (None, Some(_)) => format!("{name} is no member any more"),
            (None, None) => format!("{name} has not joined on this connection"),
        };
        Fault::new(ErrorCode::NotFound, message)
    }

    /// The reply with the list that `make` returns; a long list may be up to a second old.
    fn list(&self, kept: &CachedReply, make: fn(&Globals) -> Vec<u8>) -> Reply {
        let globals = &*self.globals;
        let n_members = globals.groups.lock().len();
        let body = kept.body(n_members, globals.now().elapsed, || make(globals));
        Reply::Body(vec![Part::Shared(body)])
    }
}

/// The peer's address, as IPv4 where the connection came over IPv4 to an IPv6 socket: clients get the IPv4
/// address.
fn ip_of(peer: SocketAddr) -> IpAddr {
    peer.ip().to_canonical()
}

/// Refuses a request about another group than the one that the connection joined.
fn check_group(name: &Member, handle: &MemberHandle) -> Result<(), Fault> {
    if name.group == *handle.group() {
        return Ok(());
    }
    let message = format!(
        "this connection joined {}, not {}",
        handle.group(),
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
        let (peer, local, session) = (caller.peer, caller.local, &mut *caller.session);
        let nothing = |()| Vec::new();
        let body = match request {
            TrackerRequest::Join(join) => self.join(join, peer, session).map(nothing),
            TrackerRequest::Beat(name) => self.beat(&name, peer, session).map(nothing),
            TrackerRequest::Leave(name) => self.leave(&name, peer, session).map(nothing),
            TrackerRequest::Report(name, report) => {
                self.report(&name, *report, session).map(nothing)
            }
            TrackerRequest::Groups => return Ok(self.list(&self.groups, groups_reply::groups)),
            TrackerRequest::Cluster => return Ok(self.list(&self.cluster, cluster_reply::cluster)),
            TrackerRequest::Saddrs(saddrs) => {
                let reply = self.router.route(saddrs, ip_of(peer), Purpose::Upload);
                reply.map(|reply| reply.encode())
            }
            TrackerRequest::Lookup(saddrs) => {
                let reply = self.router.route(saddrs, ip_of(peer), Purpose::Lookup);
                reply.map(|reply| reply.encode())
            }
            TrackerRequest::Challenge => {
                Ok(OrderVerifier::challenge(&mut session.challenge).to_vec())
            }
            TrackerRequest::Admin(signed) => {
                let names = self.globals.access.names(local);
                let work = |order| admin::execute(&self.globals, order, peer);
                let challenge = &mut session.challenge;
                let guard = &self.globals.guard;
                guard.execute(&signed, &names, challenge, peer, work)
            }
            TrackerRequest::Hello(hello) => Ok(self.hello(*hello, session)),
        };
        body.map(Reply::bytes)
    }
}

#[cfg(test)]
mod tests;
