//! The members of the groups and their states. Pure: time and randomness are arguments.
//!
//! A group, an address and a port identify a member. A join makes it ONLINE, a beat ACTIVE, silence OFFLINE;
//! a leave removes it. Clients are sent to ACTIVE members only. At the limit a new member replaces one that
//! never beat, or else the one that has been OFFLINE for longest. A silent member that never beat is removed.

mod clusters;
mod conflicts;
mod eviction;
mod group;
mod member;
mod member_address;
mod member_handle;
mod offers;
mod probe_queue;
mod reachability;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use net::peer_host::one_host;
use proto::tracker::Join;
use proto::{ClusterId, ErrorCode, Fault, GroupName, NodeId};

pub(crate) use clusters::OtherCluster;
use group::Group;
pub(crate) use member::{Member, State};
pub(crate) use member_address::MemberAddress;
pub(crate) use member_handle::MemberHandle;
use probe_queue::ProbeQueue;
pub(crate) use reachability::Reachability;

/// The time on two clocks: a monotonic one for silence, and that of the calendar.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// Time since the tracker started.
    pub(crate) elapsed: Duration,
    /// Seconds since the epoch.
    pub(crate) epoch: i64,
}

/// A join that succeeded.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) handle: MemberHandle,
    /// True for a member that was not known before.
    pub(crate) is_new: bool,
    /// The member that was evicted for it.
    pub(crate) forgotten: Option<Member>,
    /// The same storage at its previous address.
    pub(crate) replaced: Option<Member>,
}

/// Numbers of members of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MemberCounts {
    /// In any state.
    pub(crate) members: usize,
    pub(crate) active: usize,
    pub(crate) offline: usize,
    /// ACTIVE members that clients are sent to.
    pub(crate) offered: usize,
    /// ACTIVE members that cannot be connected to.
    pub(crate) unreachable: usize,
    /// ACTIVE members that are drained of uploads or of all requests.
    pub(crate) drained: usize,
}

/// Limits on members.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Most members of all groups together.
    pub(crate) members_max: usize,
    /// Most members that joined from one address.
    pub(crate) per_address: usize,
    /// A member without a beat for this time is OFFLINE.
    pub(crate) check_interval: Duration,
}

/// All members, and the groups that have some. A member has the number of its first join.
#[derive(Debug)]
pub(crate) struct Groups {
    limits: Limits,
    members: BTreeMap<u64, Member>,
    groups: BTreeMap<GroupName, Group>,
    /// The groups of the database, open or closed; None before the first read.
    registered: Option<BTreeSet<GroupName>>,
    /// The members that never beat: the earliest join comes first.
    never_beat: BTreeSet<u64>,
    /// The members by the address of the connection that joined; IPv6 addresses by their network.
    by_peer: HashMap<IpAddr, BTreeSet<u64>>,
    /// The OFFLINE members by the time of the latest beat: the longest silence comes first.
    offline: BTreeSet<(Duration, u64)>,
    /// Number of members that remember each cluster.
    clusters: BTreeMap<ClusterId, usize>,
    /// The members that have a node id.
    by_node: BTreeMap<NodeId, u64>,
    /// The members to connect to; those whose connection is being tried are not in it.
    probe_queue: ProbeQueue,
    n_joins: u64,
}

impl Groups {
    pub(crate) fn new(limits: Limits) -> Groups {
        Groups {
            limits,
            members: BTreeMap::new(),
            groups: BTreeMap::new(),
            registered: None,
            never_beat: BTreeSet::new(),
            by_peer: HashMap::new(),
            offline: BTreeSet::new(),
            clusters: BTreeMap::new(),
            by_node: BTreeMap::new(),
            probe_queue: ProbeQueue::default(),
            n_joins: 0,
        }
    }

    /// Applies other limits. Members above them stay until new ones join.
    pub(crate) fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Most members of all groups together.
    pub(crate) fn members_max(&self) -> usize {
        self.limits.members_max
    }

    /// Sets the groups of the database, open and closed.
    pub(crate) fn register(&mut self, groups: BTreeSet<GroupName>) {
        self.registered = Some(groups);
    }

    /// Adds the storage that joins at an address, or renews its member. Its member at another address is
    /// removed.
    ///
    /// # Errors
    /// Busy at a limit when no member can be evicted. Exists when another live member has the node id or the
    /// address.
    pub(crate) fn join(
        &mut self,
        address: MemberAddress,
        join: Join,
        now: Now,
    ) -> Result<Joined, Fault> {
        let name = join.member.group.clone();
        let replaced = self.resolve_conflicts(&address, &join)?;
        let known = self.number_at(&name, address.addr);
        let is_new = known.is_none();
        let forgotten = match is_new {
            true => self.evict_for(address.peer, &name)?,
            false => None,
        };
        self.n_joins += 1;
        let handle = MemberHandle {
            group: name,
            number: known.unwrap_or(self.n_joins),
            join_number: self.n_joins,
        };
        self.enter(&handle, address, join, now);
        Ok(Joined {
            handle,
            is_new,
            forgotten,
            replaced,
        })
    }

    /// Puts a member that joined, and replaces its previous state.
    fn enter(&mut self, handle: &MemberHandle, address: MemberAddress, join: Join, now: Now) {
        let number = handle.number;
        let before = self.remove(number);
        let has_beaten = before.is_some_and(|before| before.has_beaten);
        let member = Member {
            join: Arc::new(join),
            addr: address.addr,
            peer: address.peer,
            state: State::Online,
            has_beaten,
            beat_time: now.epoch,
            report: None,
            clock_skew: 0,
            node: address.node.clone(),
            cluster: None,
            note: address.note,
            reachability: Reachability::initial(address.is_probed),
            heard: now.elapsed,
            join_number: handle.join_number,
        };
        if let Some(node) = address.node {
            self.by_node.insert(node, number);
        }
        if !has_beaten {
            self.never_beat.insert(number);
        }
        let of_peer = self.by_peer.entry(one_host(address.peer)).or_default();
        of_peer.insert(number);
        if address.is_probed {
            self.probe_queue.set(number, now.elapsed);
        }
        let group = self.groups.entry(handle.group.clone()).or_default();
        group.insert(number, member.addr);
        self.members.insert(number, member);
        self.note_cluster(handle, address.cluster);
    }

    fn remove(&mut self, number: u64) -> Option<Member> {
        let removed = self.members.remove(&number)?;
        let name = removed.group();
        if let Some(group) = self.groups.get_mut(name) {
            group.remove(number, removed.addr);
            if group.members.is_empty() {
                self.groups.remove(name);
            }
        }
        self.probe_queue.forget(number);
        self.offline.remove(&(removed.heard, number));
        self.never_beat.remove(&number);
        self.count_cluster(removed.cluster.as_ref(), None);
        let peer = one_host(removed.peer);
        if let Some(of_peer) = self.by_peer.get_mut(&peer) {
            of_peer.remove(&number);
            if of_peer.is_empty() {
                self.by_peer.remove(&peer);
            }
        }
        if let Some(node) = &removed.node
            && self.by_node.get(node) == Some(&number)
        {
            self.by_node.remove(node);
        }
        Some(removed)
    }

    /// The number of the member of a group at an address.
    fn number_at(&self, group: &GroupName, addr: SocketAddr) -> Option<u64> {
        self.groups.get(group)?.at(addr)
    }

    /// The member, unless it has joined again on another connection.
    fn member_of(&mut self, handle: &MemberHandle) -> Option<&mut Member> {
        let member = self.members.get_mut(&handle.number)?;
        (member.join_number == handle.join_number).then_some(member)
    }

    /// The ACTIVE members of a group, in order of joining.
    fn active_members(&self, group: &Group) -> impl Iterator<Item = &Member> {
        let active = group.active.iter();
        active.filter_map(|number| self.members.get(number))
    }

    /// Removes the members that an administrator names by address, node id or digest of the node id, and
    /// returns them.
    ///
    /// # Errors
    /// A member is not OFFLINE: it would be back at its next beat. Or there is none.
    pub(crate) fn forget(&mut self, storage: &str) -> Result<Vec<Member>, Fault> {
        let named = |member: &Member| {
            let is_node =
                |node: &NodeId| node.as_str() == storage || node.digest().as_str() == storage;
            member.addr.to_string() == storage || member.node.as_ref().is_some_and(is_node)
        };
        let mut found = Vec::new();
        for (number, member) in self.members.iter().filter(|(_, m)| named(m)) {
            if member.state != State::Offline {
                let message = format!("{} is not offline: stop it first", member.addr);
                return Err(Fault::new(ErrorCode::Exists, message));
            }
            found.push(*number);
        }
        if found.is_empty() {
            let message = format!("no storage has the address or node {storage}");
            return Err(Fault::new(ErrorCode::NotFound, message));
        }
        let removed = found.into_iter().filter_map(|number| self.remove(number));
        Ok(removed.collect())
    }

    /// Makes silent members OFFLINE and returns those, by group.
    pub(crate) fn check(&mut self, now: Now) -> Vec<Member> {
        let Some(since) = now.elapsed.checked_sub(self.limits.check_interval) else {
            return Vec::new();
        };
        let mut lost = Vec::new();
        for (number, member) in &mut self.members {
            if member.state != State::Offline && member.heard <= since {
                member.state = State::Offline;
                self.offline.insert((member.heard, *number));
                self.probe_queue.forget(*number);
                lost.push(member.clone());
            }
        }
        lost.sort_by(|one, other| one.group().cmp(other.group()));
        let of_lost: BTreeSet<&GroupName> = lost.iter().map(Member::group).collect();
        for name in of_lost {
            if let Some(group) = self.groups.get_mut(name) {
                // One pass: after a network failure all members are lost.
                let state = |number: &u64| self.members.get(number).map(|member| member.state);
                group
                    .active
                    .retain(|number| state(number) == Some(State::Active));
            }
        }
        lost
    }

    /// Number of members in any state.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Numbers of members by group.
    pub(crate) fn counts(&self) -> BTreeMap<GroupName, MemberCounts> {
        let groups = self.groups.iter();
        let counts = groups.map(|(name, group)| (name.clone(), self.count(group)));
        let mut counts: BTreeMap<_, _> = counts.collect();
        for (_, number) in &self.offline {
            let member = self.members.get(number);
            if let Some(count) = member.and_then(|member| counts.get_mut(member.group())) {
                count.offline += 1;
            }
        }
        counts
    }

    /// Copies all members: groups by name, members in order of joining.
    pub(crate) fn snapshot(&self) -> Vec<(GroupName, Vec<Member>)> {
        let member = |number: &u64| self.members.get(number).cloned();
        let members = |group: &Group| group.members.iter().filter_map(member).collect();
        let groups = self.groups.iter();
        groups
            .map(|(name, group)| (name.clone(), members(group)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
