//! The members of the groups and their states. Pure: time and chance come in as arguments.
//!
//! A member is a group, an address and a port. Joining makes it ONLINE, a beat ACTIVE, silence
//! OFFLINE; leaving removes it. Clients are sent to ACTIVE members only. When there are too many,
//! the member that has been OFFLINE for longest makes room for a new one.

mod group;
mod member;
mod nodes;
mod offers;
mod reach;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use proto::report::Report;
use proto::tracker::{Join, Member as Name};
use proto::{ErrorCode, Fault, GroupName, NodeId};

use group::Group;
pub(crate) use member::{Member, State};
use reach::Reach;

use crate::tries::Tries;

/// The time: one clock that no administrator turns, for silence, and one for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// Since the tracker started.
    pub(crate) elapsed: Duration,
    /// Seconds since the epoch.
    pub(crate) epoch: i64,
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Whatever their state.
    pub(crate) members: usize,
    pub(crate) active: usize,
    pub(crate) offline: usize,
    /// Clients are sent to these of the ACTIVE ones.
    pub(crate) offered: usize,
    /// These of the ACTIVE ones cannot be connected to.
    pub(crate) unreachable: usize,
    /// These of the ACTIVE ones are taken out of service, as far as for uploads or wholly.
    pub(crate) drained: usize,
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
    /// The members that live, unless their addresses are being tried.
    tries: Tries,
    n_members: usize,
    n_joins: u64,
}

impl Groups {
    pub(crate) fn new(members_max: usize, check_interval: Duration) -> Groups {
        Groups {
            members_max,
            check_interval,
            groups: BTreeMap::new(),
            offline: BTreeMap::new(),
            by_node: BTreeMap::new(),
            tries: Tries::default(),
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
            Some(node) => self.make_way(node, addr, &join)?,
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
        self.tries.set(ticket.number, &name, now.elapsed);
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
        self.tries.forget(number);
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
        if before.state == State::Offline {
            self.tries.set(ticket.number, &ticket.group, now.elapsed);
        }
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
                self.tries.forget(number);
                lost.push(member);
            }
        }
        lost
    }

    /// How many members there are, whatever their state.
    pub(crate) fn len(&self) -> usize {
        self.n_members
    }

    /// How many there are in each group.
    pub(crate) fn counts(&self) -> BTreeMap<GroupName, Count> {
        let groups = self.groups.iter();
        let counts = groups.map(|(name, group)| (name.clone(), group.count()));
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

#[cfg(test)]
mod tests;
