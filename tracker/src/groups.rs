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
use proto::{ErrorCode, Fault, GroupName};

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
}

/// How many members a group has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Count {
    /// Whatever their state.
    pub(crate) members: usize,
    pub(crate) active: usize,
    pub(crate) offline: usize,
}

/// All groups that have members.
#[derive(Debug)]
pub(crate) struct Groups {
    members_max: usize,
    check_interval: Duration,
    groups: BTreeMap<GroupName, Group>,
    /// The groups of the OFFLINE members, by when a member was last heard of and its number: who has
    /// been silent for longest comes first.
    offline: BTreeMap<(Duration, u64), GroupName>,
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
            n_members: 0,
            n_joins: 0,
        }
    }

    /// A storage joins from `ip`; one that is known keeps its place.
    ///
    /// # Errors
    /// Busy, when there are too many members already and none of them is OFFLINE.
    pub(crate) fn join(&mut self, ip: IpAddr, join: Join, now: Now) -> Result<Joined, Fault> {
        let addr = SocketAddr::new(ip, join.port);
        let name = join.member.group.clone();
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
            heard: now.elapsed,
            join_number: self.n_joins,
        };
        let group = self.groups.entry(name).or_default();
        group.put(ticket.number, member);
        Ok(Joined {
            ticket,
            is_new,
            forgotten,
        })
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
    /// that take no uploads come after all that do.
    pub(crate) fn active(&self, group: &GroupName, chance: usize) -> Vec<SocketAddr> {
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
        };
        let takers = ring().filter(|member| member.takes_uploads());
        let others = ring().filter(|member| !member.takes_uploads());
        let addrs = takers.chain(others).map(|member| member.addr);
        addrs.take(ADDRESSES_MAX).collect()
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
    fn is_offered(&self) -> bool {
        self.drain() != Drain::All
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

impl Group {
    fn has_taker(&self) -> bool {
        let mut active = self.active.iter().filter_map(|n| self.members.get(n));
        active.any(|member| member.is_offered() && member.takes_uploads())
    }

    /// The number of the member with this address.
    fn at(&self, addr: SocketAddr) -> Option<u64> {
        self.by_addr.get(&(addr.ip(), addr.port())).copied()
    }

    /// Enters a member that joined, ONLINE.
    fn put(&mut self, number: u64, member: Member) {
        self.set_state(number, member.state);
        self.by_addr
            .insert((member.addr.ip(), member.addr.port()), number);
        self.members.insert(number, member);
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
