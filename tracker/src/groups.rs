//! The members of the groups and their states. Pure: time and chance come in as arguments.
//!
//! A member is a group, an address and a port. Joining makes it ONLINE, a beat ACTIVE, silence
//! OFFLINE; leaving removes it. Clients are sent to ACTIVE members only. When there are too many,
//! the member that has been OFFLINE for longest makes room for a new one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use proto::report::{Drain, Report};
use proto::tracker::{ADDRESSES_MAX, Join, Member as Name};
use proto::{ErrorCode, Fault, GroupName, NodeId};

/// The time: one clock that no administrator turns, for silence, and one for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// Since the tracker started.
    pub(crate) elapsed: Duration,
    /// Seconds since the epoch.
    pub(crate) epoch: i64,
}

/// How a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It joined and has not beaten since.
    Online,
    /// It beats.
    Active,
    /// It was not heard of for too long.
    Offline,
}

/// One storage in one group.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// What it told when it last joined.
    pub(crate) join: Arc<Join>,
    /// Where clients reach it.
    pub(crate) addr: SocketAddr,
    pub(crate) state: State,
    /// When it was last heard of, seconds since the epoch.
    pub(crate) beat_time: i64,
    /// What it last told of itself since it joined; a C++ storage tells nothing.
    pub(crate) report: Option<Arc<Report>>,
    /// Who it is; a C++ storage does not tell.
    pub(crate) node: Option<NodeId>,
    /// What is odd about its address.
    pub(crate) note: Option<Arc<str>>,
    /// Whether it can be connected to, as far as this tracker knows.
    pub(crate) reach: Reach,
    heard: Duration,
    /// Which of all joins was its last.
    join_number: u64,
}

/// What a connection keeps of the member that joined on it.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    group: GroupName,
    number: u64,
    join_number: u64,
}

impl Ticket {
    /// The group that was joined.
    pub(crate) fn group(&self) -> &GroupName {
        &self.group
    }
}

/// A join that was taken.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) ticket: Ticket,
    /// Whether the member was not known before.
    pub(crate) is_new: bool,
    /// The OFFLINE member that made room for it.
    pub(crate) forgotten: Option<Member>,
    /// The same storage as it was at another address.
    pub(crate) replaced: Option<Member>,
}

/// How many members a group has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Count {
    /// Whatever their state.
    pub(crate) members: usize,
    pub(crate) active: usize,
    pub(crate) offline: usize,
}

/// Where a storage joins, and as who.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Where clients are to be sent.
    pub(crate) addr: SocketAddr,
    /// Who it is, if it told.
    pub(crate) node: Option<NodeId>,
    /// What is odd about the address.
    pub(crate) note: Option<Arc<str>>,
}

/// Whether a member can be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Not tried yet.
    Untried,
    /// It could, at this time on the clock of [`Now::elapsed`].
    Good(Duration),
    /// It could not, so many times in a row.
    Bad {
        /// The last time.
        at: Duration,
        /// How often.
        times: u32,
        /// Why.
        why: Arc<str>,
    },
}

/// A member is not offered to clients after so many tries in a row that failed: one may be chance.
const BAD_TIMES: u32 = 2;
/// Time from one try to the next: of members that could be connected to, and of others.
const RETRY_GOOD: Duration = Duration::from_secs(30);
const RETRY_BAD: Duration = Duration::from_secs(5);

/// All groups that have members.
#[derive(Debug)]
pub(crate) struct Groups {
    members_max: usize,
    check_interval: Duration,
    groups: BTreeMap<GroupName, Group>,
    /// The groups of the OFFLINE members, by when a member was last heard of and its number: who has
    /// been silent for longest comes first.
    offline: BTreeMap<(Duration, u64), GroupName>,
    /// Where the members are that told who they are.
    by_node: BTreeMap<NodeId, (GroupName, u64)>,
    n_members: usize,
    n_joins: u64,
}

/// One group. A member's number is that of its first join, so members are in order of joining.
#[derive(Debug, Default)]
struct Group {
    members: BTreeMap<u64, Member>,
    by_addr: BTreeMap<(IpAddr, u16), u64>,
    /// The numbers of the ACTIVE ones, in order: a client's reply takes three of them, of however
    /// many.
    active: Vec<u64>,
}

impl Groups {
    pub(crate) fn new(members_max: usize, check_interval: Duration) -> Groups {
        Groups {
            members_max,
            check_interval,
            groups: BTreeMap::new(),
            offline: BTreeMap::new(),
            by_node: BTreeMap::new(),
            n_members: 0,
            n_joins: 0,
        }
    }

    /// Takes on other limits. More members than there may be now stay until newer ones come.
    pub(crate) fn limit(&mut self, members_max: usize, check_interval: Duration) {
        self.members_max = members_max;
        self.check_interval = check_interval;
    }

    /// Most members of all groups together.
    pub(crate) fn members_max(&self) -> usize {
        self.members_max
    }

    /// A storage joins at an address; one that is known keeps its place, and one that was at
    /// another address leaves that.
    ///
    /// # Errors
    /// Busy, when there are too many members already and none of them is OFFLINE. Exists, when
    /// another member that lives has its node id, or its address.
    pub(crate) fn join(&mut self, place: Place, join: Join, now: Now) -> Result<Joined, Fault> {
        let Place { addr, node, note } = place;
        let name = join.member.group.clone();
        let replaced = match &node {
            Some(node) => self.make_way(node, addr, &join, now)?,
            None => None,
        };
        let known = self.groups.get(&name).and_then(|group| group.at(addr));
        let is_new = known.is_none();
        let forgotten = if is_new { self.make_room()? } else { None };
        if let Some(number) = known {
            self.forget_silence(&name, number);
        }
        self.n_joins += 1;
        self.n_members += usize::from(is_new);
        let ticket = Ticket {
            group: name.clone(),
            number: known.unwrap_or(self.n_joins),
            join_number: self.n_joins,
        };
        let member = Member {
            join: Arc::new(join),
            addr,
            state: State::Online,
            beat_time: now.epoch,
            report: None,
            node: node.clone(),
            note,
            reach: Reach::Untried,
            heard: now.elapsed,
            join_number: self.n_joins,
        };
        if let Some(node) = node {
            self.by_node.insert(node, (name.clone(), ticket.number));
        }
        let group = self.groups.entry(name).or_default();
        if let Some(before) = group.put(ticket.number, member) {
            self.forget_node(&before, ticket.number, &ticket.group);
        }
        Ok(Joined {
            ticket,
            is_new,
            forgotten,
            replaced,
        })
    }

    /// Sees to it that no other member has this node id or, in the group, this address. One that
    /// lives is in the right; who restarted, or is silent, makes way. Tells who did.
    fn make_way(
        &mut self,
        node: &NodeId,
        addr: SocketAddr,
        join: &Join,
        now: Now,
    ) -> Result<Option<Member>, Fault> {
        let at_addr = self.groups.get(&join.member.group).and_then(|group| {
            let number = group.at(addr)?;
            group.members.get(&number)
        });
        if let Some(other) = at_addr
            && other.node.as_ref().is_some_and(|other| other != node)
            && other.state != State::Offline
        {
            return Err(other.conflict(now, &format!("{addr} is taken, which node {node} wants")));
        }
        let Some((name, number)) = self.by_node.get(node).cloned() else {
            return Ok(None);
        };
        let other = self.groups.get(&name).and_then(|g| g.members.get(&number));
        let Some(other) = other.filter(|m| m.addr != addr || name != join.member.group) else {
            return Ok(None);
        };
        let is_same_process = other.join.start_time == join.start_time
            && other.join.member.hostname == join.member.hostname;
        if other.state != State::Offline && !is_same_process {
            let host = &join.member.hostname;
            return Err(other.conflict(
                now,
                &format!("node id {node} of {host} at {addr} is in use (a copied machine?)"),
            ));
        }
        self.forget_silence(&name, number);
        Ok(self.remove(&name, number))
    }

    /// A node id is free again, unless the member was entered anew with it.
    fn forget_node(&mut self, member: &Member, number: u64, group: &GroupName) {
        if let Some(node) = &member.node
            && let Some((at, n)) = self.by_node.get(node)
            && (at, *n) == (group, number)
        {
            let still = self.groups.get(group).and_then(|g| g.members.get(&number));
            if still.is_none_or(|still| still.node.as_ref() != Some(node)) {
                self.by_node.remove(node);
            }
        }
    }

    /// Sees to it that one more fits in; tells who had to go.
    fn make_room(&mut self) -> Result<Option<Member>, Fault> {
        if self.n_members < self.members_max {
            return Ok(None);
        }
        let Some(((_, number), name)) = self.offline.pop_first() else {
            let message = format!("{} members already, no room for more", self.n_members);
            return Err(Fault::new(ErrorCode::Busy, message));
        };
        Ok(self.remove(&name, number))
    }

    fn remove(&mut self, name: &GroupName, number: u64) -> Option<Member> {
        let group = self.groups.get_mut(name)?;
        let removed = group.remove(number)?;
        if group.members.is_empty() {
            self.groups.remove(name);
        }
        self.n_members -= 1;
        self.forget_node(&removed, number, name);
        Some(removed)
    }

    /// A member is not silent any more.
    fn forget_silence(&mut self, name: &GroupName, number: u64) {
        let group = self.groups.get(name);
        if let Some(member) = group.and_then(|group| group.members.get(&number)) {
            self.offline.remove(&(member.heard, number));
        }
    }

    /// The member that goes by `name` at `ip`, if exactly one does.
    pub(crate) fn find(&self, name: &Name, ip: IpAddr) -> Option<Ticket> {
        let group = self.groups.get(&name.group)?;
        let at_ip = group.by_addr.range((ip, 0)..=(ip, u16::MAX));
        let mut found = at_ip
            .filter_map(|(_, number)| Some((*number, group.members.get(number)?)))
            .filter(|(_, member)| member.join.member.hostname == name.hostname);
        let (number, member) = found.next()?;
        let ticket = Ticket {
            group: name.group.clone(),
            number,
            join_number: member.join_number,
        };
        found.next().is_none().then_some(ticket)
    }

    /// A member lives. Tells what was known of it before, nothing when it is not there any more.
    pub(crate) fn beat(&mut self, ticket: &Ticket, now: Now) -> Option<Member> {
        self.forget_silence(&ticket.group, ticket.number);
        let group = self.groups.get_mut(&ticket.group)?;
        let member = group.members.get_mut(&ticket.number)?;
        let before = member.clone();
        member.heard = now.elapsed;
        member.beat_time = now.epoch;
        group.set_state(ticket.number, State::Active);
        Some(before)
    }

    /// A member tells how it is. Tells what was known of it before, nothing when it is not there
    /// any more.
    pub(crate) fn report(&mut self, ticket: &Ticket, report: Arc<Report>) -> Option<Member> {
        let group = self.groups.get_mut(&ticket.group)?;
        let member = group.members.get_mut(&ticket.number)?;
        let before = member.clone();
        member.report = Some(report);
        Some(before)
    }

    /// A member goes. Nothing happens when it is not there any more, or has joined again since on
    /// another connection.
    pub(crate) fn leave(&mut self, ticket: &Ticket) -> Option<Member> {
        let group = self.groups.get(&ticket.group)?;
        let member = group.members.get(&ticket.number)?;
        if member.join_number != ticket.join_number {
            return None;
        }
        self.forget_silence(&ticket.group, ticket.number);
        self.remove(&ticket.group, ticket.number)
    }

    /// Strikes members off that an administrator names by address or node id. Tells who they were.
    ///
    /// # Errors
    /// One lives: it would be back at its next beat. Or there is none.
    pub(crate) fn forget(&mut self, storage: &str) -> Result<Vec<Member>, Fault> {
        let named = |member: &Member| {
            let node = member.node.as_ref().map(NodeId::as_str);
            member.addr.to_string() == storage || node == Some(storage)
        };
        let mut found = Vec::new();
        for (name, group) in &self.groups {
            for (number, member) in group.members.iter().filter(|(_, m)| named(m)) {
                if member.state != State::Offline {
                    let message = format!("{} is not offline: stop it first", member.addr);
                    return Err(Fault::new(ErrorCode::Exists, message));
                }
                found.push((name.clone(), *number));
            }
        }
        if found.is_empty() {
            let message = format!("no storage has the address or node id {storage}");
            return Err(Fault::new(ErrorCode::NotFound, message));
        }
        let mut forgotten = Vec::new();
        for (name, number) in found {
            self.forget_silence(&name, number);
            forgotten.extend(self.remove(&name, number));
        }
        Ok(forgotten)
    }

    /// Finds out who has been silent for too long; tells who is OFFLINE since just now.
    pub(crate) fn check(&mut self, now: Now) -> Vec<Member> {
        let Some(since) = now.elapsed.checked_sub(self.check_interval) else {
            return Vec::new();
        };
        let mut lost = Vec::new();
        for (name, group) in &mut self.groups {
            for (number, member) in group.check(since) {
                self.offline.insert((member.heard, number), name.clone());
                lost.push(member);
            }
        }
        lost
    }

    /// Where to send a client of a group: at most [`ADDRESSES_MAX`] ACTIVE members that are not
    /// drained, the first one by `chance`, the others those that joined after it, in a ring; those
    /// that take no uploads come after all that do. A loopback address is for clients of this
    /// machine only.
    pub(crate) fn active(
        &self,
        group: &GroupName,
        chance: usize,
        client: IpAddr,
    ) -> Vec<SocketAddr> {
        let Some(group) = self.groups.get(group) else {
            return Vec::new();
        };
        let start = chance.checked_rem(group.active.len()).unwrap_or(0);
        let (before, from) = group.active.split_at(start);
        let ring = || {
            from.iter()
                .chain(before)
                .filter_map(|number| group.members.get(number))
                .filter(|member| member.is_offered())
                .filter(|member| !member.addr.ip().is_loopback() || client.is_loopback())
        };
        let takers = ring().filter(|member| member.takes_uploads());
        let others = ring().filter(|member| !member.takes_uploads());
        let addrs = takers.chain(others).map(|member| member.addr);
        addrs.take(ADDRESSES_MAX).collect()
    }

    /// Why ACTIVE members of a group are not offered: the first one that cannot be connected to.
    pub(crate) fn unreachable(&self, group: &GroupName) -> Option<String> {
        let group = self.groups.get(group)?;
        let mut active = group.active.iter().filter_map(|n| group.members.get(n));
        active.find_map(Member::unreachable)
    }

    /// The members that live and whose addresses are to be tried now; at most `limit`.
    pub(crate) fn to_try(&self, now: Duration, limit: usize) -> Vec<(Ticket, SocketAddr)> {
        let live = self.groups.iter().flat_map(|(name, group)| {
            let live = group.members.iter();
            let live = live.filter(|(_, member)| member.state != State::Offline);
            live.map(move |(number, member)| (name, number, member))
        });
        let due = live.filter(|(_, _, member)| member.reach.is_due(now));
        due.take(limit)
            .map(|(name, number, member)| {
                let ticket = Ticket {
                    group: name.clone(),
                    number: *number,
                    join_number: member.join_number,
                };
                (ticket, member.addr)
            })
            .collect()
    }

    /// A member's address was tried: `failure` tells why it cannot be connected to. Tells of the
    /// member when that turned what is known of it.
    pub(crate) fn tried(
        &mut self,
        ticket: &Ticket,
        failure: Option<String>,
        now: Duration,
    ) -> Option<Member> {
        let group = self.groups.get_mut(&ticket.group)?;
        let member = group.members.get_mut(&ticket.number)?;
        if member.join_number != ticket.join_number {
            return None;
        }
        let was_bad = member.reach.is_bad();
        member.reach = match (failure, &member.reach) {
            (None, _) => Reach::Good(now),
            (Some(why), Reach::Bad { times, .. }) => Reach::Bad {
                at: now,
                times: times.saturating_add(1),
                why: why.into(),
            },
            (Some(why), _) => Reach::Bad {
                at: now,
                times: 1,
                why: why.into(),
            },
        };
        (member.reach.is_bad() != was_bad).then(|| member.clone())
    }

    /// The groups that have an ACTIVE member which takes uploads.
    pub(crate) fn with_takers(&self) -> BTreeSet<GroupName> {
        let groups = self.groups.iter();
        groups
            .filter(|(_, group)| group.has_taker())
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// How many members there are, whatever their state.
    pub(crate) fn len(&self) -> usize {
        self.n_members
    }

    /// How many there are in each group.
    pub(crate) fn counts(&self) -> BTreeMap<GroupName, Count> {
        let count = |group: &Group| Count {
            members: group.members.len(),
            active: group.active.len(),
            offline: 0,
        };
        let groups = self.groups.iter();
        let counts = groups.map(|(name, group)| (name.clone(), count(group)));
        let mut counts: BTreeMap<_, _> = counts.collect();
        for name in self.offline.values() {
            if let Some(count) = counts.get_mut(name) {
                count.offline += 1;
            }
        }
        counts
    }

    /// Everybody as of now: groups by name, members in order of joining.
    pub(crate) fn snapshot(&self) -> Vec<(GroupName, Vec<Member>)> {
        let members = |group: &Group| group.members.values().cloned().collect();
        let groups = self.groups.iter();
        groups
            .map(|(name, group)| (name.clone(), members(group)))
            .collect()
    }
}

impl Member {
    /// Whether clients are sent there while it is ACTIVE.
    pub(crate) fn is_offered(&self) -> bool {
        self.drain() != Drain::All && !self.reach.is_bad()
    }

    /// Why it cannot be connected to, if that is so.
    pub(crate) fn unreachable(&self) -> Option<String> {
        match &self.reach {
            Reach::Bad { why, .. } if self.reach.is_bad() => {
                Some(format!("{} cannot be connected to: {why}", self.addr))
            }
            _ => None,
        }
    }

    /// The refusal of somebody who wants what this member has.
    fn conflict(&self, now: Now, what: &str) -> Fault {
        let name = &self.join.member;
        let heard = now.elapsed.saturating_sub(self.heard).as_secs();
        let message = format!(
            "{what}: {}/{} at {} was heard of {heard} s ago",
            name.group, name.hostname, self.addr
        );
        Fault::new(ErrorCode::Exists, message)
    }

    /// Whether uploads have a chance there.
    fn takes_uploads(&self) -> bool {
        self.report.as_ref().is_none_or(|report| report.uploads) && self.drain() == Drain::None
    }

    /// How far an administrator takes it out of service.
    pub(crate) fn drain(&self) -> Drain {
        self.report
            .as_ref()
            .map_or(Drain::None, |report| report.drain)
    }
}

impl Reach {
    /// Whether clients are better not sent there.
    pub(crate) fn is_bad(&self) -> bool {
        matches!(self, Reach::Bad { times, .. } if *times >= BAD_TIMES)
    }

    fn is_due(&self, now: Duration) -> bool {
        match self {
            Reach::Untried => true,
            Reach::Good(at) => now.saturating_sub(*at) >= RETRY_GOOD,
            Reach::Bad { at, .. } => now.saturating_sub(*at) >= RETRY_BAD,
        }
    }
}

impl Group {
    fn has_taker(&self) -> bool {
        let mut active = self.active.iter().filter_map(|n| self.members.get(n));
        active.any(|member| member.is_offered() && member.takes_uploads())
    }

    /// The number of the member with this address.
    fn at(&self, addr: SocketAddr) -> Option<u64> {
        self.by_addr.get(&(addr.ip(), addr.port())).copied()
    }

    /// Enters a member that joined, ONLINE; tells what it was before.
    fn put(&mut self, number: u64, member: Member) -> Option<Member> {
        self.set_state(number, member.state);
        self.by_addr
            .insert((member.addr.ip(), member.addr.port()), number);
        self.members.insert(number, member)
    }

    fn remove(&mut self, number: u64) -> Option<Member> {
        self.set_state(number, State::Offline);
        let member = self.members.remove(&number)?;
        self.by_addr.remove(&(member.addr.ip(), member.addr.port()));
        Some(member)
    }

    /// Makes OFFLINE who was last heard of at `since` or before.
    fn check(&mut self, since: Duration) -> Vec<(u64, Member)> {
        let mut lost = Vec::new();
        for (number, member) in &mut self.members {
            if member.state != State::Offline && member.heard <= since {
                member.state = State::Offline;
                lost.push((*number, member.clone()));
            }
        }
        if !lost.is_empty() {
            // All at once: when the network was away it is everybody.
            let members = &self.members;
            let state = |number: &u64| members.get(number).map(|member| member.state);
            self.active
                .retain(|number| state(number) == Some(State::Active));
        }
        lost
    }

    /// Keeps state and list of ACTIVE members alike. The member need not be there yet.
    fn set_state(&mut self, number: u64, state: State) {
        match (self.active.binary_search(&number), state) {
            (Err(idx), State::Active) => self.active.insert(idx, number),
            (Ok(idx), State::Online | State::Offline) => drop(self.active.remove(idx)),
            _ => {}
        }
        if let Some(member) = self.members.get_mut(&number) {
            member.state = state;
        }
    }
}

#[cfg(test)]
mod tests;
