//! The members of the groups and their states. Pure: time and chance come in as arguments.
//!
//! A member is a group, an address and a port. Joining makes it ONLINE, a beat ACTIVE, silence
//! OFFLINE; leaving removes it. Clients are sent to ACTIVE members only. When there are too many,
//! a member that never beat makes room for a new one, or else the one OFFLINE for longest.

mod allegiance;
mod connections;
mod group;
mod member;
mod nodes;
mod offers;
mod place;
mod reach;
mod room;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use net::peer_host::one_host;
use proto::tracker::Join;
use proto::{ClusterId, ErrorCode, Fault, GroupName, NodeId};

pub(crate) use allegiance::Rival;
pub(crate) use connections::Ticket;
use group::Group;
pub(crate) use member::{Member, State};
pub(crate) use place::Place;
pub(crate) use reach::Reach;

use crate::tries::Tries;

/// The time: one clock that no administrator turns, for silence, and one for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// Since the tracker started.
    pub(crate) elapsed: Duration,
    /// Seconds since the epoch.
    pub(crate) epoch: i64,
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

/// How many members there may be, and when one counts as silent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Most members of all groups together.
    pub(crate) members_max: usize,
    /// Most members that joined from one address.
    pub(crate) per_address: usize,
    /// A member that was not heard of for so long is OFFLINE.
    pub(crate) check_interval: Duration,
}

/// All groups that have members.
#[derive(Debug)]
pub(crate) struct Groups {
    limits: Limits,
    groups: BTreeMap<GroupName, Group>,
    /// The groups of the database, open or closed; absent until it was read.
    registered: Option<BTreeSet<GroupName>>,
    /// The groups of the members that never beat, by number: the earliest join comes first.
    unproven: BTreeMap<u64, GroupName>,
    /// The members by the address that joined, each with its group: an IPv6 address stands for its
    /// network.
    by_peer: HashMap<IpAddr, BTreeMap<u64, GroupName>>,
    /// The groups of the OFFLINE members, by when a member was last heard of and its number: who has
    /// been silent for longest comes first.
    offline: BTreeMap<(Duration, u64), GroupName>,
    /// How many members remember each cluster.
    clusters: BTreeMap<ClusterId, usize>,
    /// Where the members are that told who they are.
    by_node: BTreeMap<NodeId, (GroupName, u64)>,
    /// The members that live, unless their addresses are being tried.
    tries: Tries,
    n_members: usize,
    n_joins: u64,
}

impl Groups {
    pub(crate) fn new(limits: Limits) -> Groups {
        Groups {
            limits,
            groups: BTreeMap::new(),
            registered: None,
            unproven: BTreeMap::new(),
            by_peer: HashMap::new(),
            clusters: BTreeMap::new(),
            offline: BTreeMap::new(),
            by_node: BTreeMap::new(),
            tries: Tries::default(),
            n_members: 0,
            n_joins: 0,
        }
    }

    /// Takes on other limits. More members than there may be now stay until newer ones come.
    pub(crate) fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Most members of all groups together.
    pub(crate) fn members_max(&self) -> usize {
        self.limits.members_max
    }

    /// Takes note of the groups of the database, open and closed.
    pub(crate) fn register(&mut self, groups: BTreeSet<GroupName>) {
        self.registered = Some(groups);
    }

    /// A storage joins at an address; one that is known keeps its place, and one that was at
    /// another address leaves that.
    ///
    /// # Errors
    /// Busy, when there are too many members already and none of them can make room. Exists, when
    /// another member that lives has its node id, or its address.
    pub(crate) fn join(&mut self, place: Place, join: Join, now: Now) -> Result<Joined, Fault> {
        let name = join.member.group.clone();
        let replaced = self.make_way(&place, &join)?;
        let known = self
            .groups
            .get(&name)
            .and_then(|group| group.at(place.addr));
        let is_new = known.is_none();
        let forgotten = if is_new {
            self.make_room(place.peer, &name)?
        } else {
            None
        };
        self.n_joins += 1;
        let ticket = Ticket {
            group: name,
            number: known.unwrap_or(self.n_joins),
            join_number: self.n_joins,
        };
        self.enter(&ticket, place, join, now);
        Ok(Joined {
            ticket,
            is_new,
            forgotten,
            replaced,
        })
    }

    /// Enters a member that joined, in the place of what was known of it.
    fn enter(&mut self, ticket: &Ticket, place: Place, join: Join, now: Now) {
        let (name, number) = (&ticket.group, ticket.number);
        let before = self.remove(name, number);
        let has_beaten = before.is_some_and(|before| before.has_beaten);
        let member = Member {
            join: Arc::new(join),
            addr: place.addr,
            peer: place.peer,
            state: State::Online,
            has_beaten,
            beat_time: now.epoch,
            report: None,
            clock_skew: 0,
            node: place.node.clone(),
            remembers: place.remembers,
            cluster: None,
            note: place.note,
            reach: Reach::at_first(place.is_tried),
            heard: now.elapsed,
            join_number: ticket.join_number,
        };
        if let Some(node) = place.node {
            self.by_node.insert(node, (name.clone(), number));
        }
        if !has_beaten {
            self.unproven.insert(number, name.clone());
        }
        let of_peer = self.by_peer.entry(one_host(place.peer)).or_default();
        of_peer.insert(number, name.clone());
        if place.is_tried {
            self.tries.set(number, name, now.elapsed);
        }
        self.n_members += 1;
        let group = self.groups.entry(name.clone()).or_default();
        group.put(number, member);
        self.note_cluster(ticket, place.cluster);
    }

    fn remove(&mut self, name: &GroupName, number: u64) -> Option<Member> {
        let group = self.groups.get_mut(name)?;
        let removed = group.remove(number)?;
        if group.members.is_empty() {
            self.groups.remove(name);
        }
        self.n_members -= 1;
        self.tries.forget(number);
        self.offline.remove(&(removed.heard, number));
        self.unproven.remove(&number);
        self.count_cluster(removed.cluster.as_ref(), None);
        let peer = one_host(removed.peer);
        if let Some(of_peer) = self.by_peer.get_mut(&peer) {
            of_peer.remove(&number);
            if of_peer.is_empty() {
                self.by_peer.remove(&peer);
            }
        }
        if let Some(node) = &removed.node
            && self.by_node.get(node).is_some_and(|(_, n)| *n == number)
        {
            self.by_node.remove(node);
        }
        Some(removed)
    }

    /// Strikes members off that an administrator names by address, node id or what stands for it. Tells who they were.
    ///
    /// # Errors
    /// One lives: it would be back at its next beat. Or there is none.
    pub(crate) fn forget(&mut self, storage: &str) -> Result<Vec<Member>, Fault> {
        let named = |member: &Member| {
            let is_node =
                |node: &NodeId| node.as_str() == storage || node.digest().as_str() == storage;
            member.addr.to_string() == storage || member.node.as_ref().is_some_and(is_node)
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
            let message = format!("no storage has the address or node {storage}");
            return Err(Fault::new(ErrorCode::NotFound, message));
        }
        let mut forgotten = Vec::new();
        for (name, number) in found {
            forgotten.extend(self.remove(&name, number));
        }
        Ok(forgotten)
    }

    /// Finds out who has been silent for too long; tells who is OFFLINE since just now.
    pub(crate) fn check(&mut self, now: Now) -> Vec<Member> {
        let Some(since) = now.elapsed.checked_sub(self.limits.check_interval) else {
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
