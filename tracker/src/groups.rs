//! The members of the groups and their states. Pure: time and randomness are arguments.
//!
//! A group, an address and a port identify a member. A join makes it ONLINE, a beat ACTIVE, silence OFFLINE;
//! a leave removes it. Clients are sent to ACTIVE members only. At the limit a new member replaces one that
//! never beat, or else the one that has been OFFLINE for longest.

mod clusters;
mod conflicts;
mod connections;
mod eviction;
mod group;
mod member;
mod member_address;
mod offers;
mod probe_queue;
mod reachability;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use net::peer_host::one_host;
use proto::tracker::Join;
use proto::{ClusterId, ErrorCode, Fault, GroupName, NodeId};

pub(crate) use clusters::OtherCluster;
pub(crate) use connections::MemberHandle;
use group::Group;
pub(crate) use member::{Member, State};
pub(crate) use member_address::MemberAddress;
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

/// All groups that have members.
#[derive(Debug)]
pub(crate) struct Groups {
    limits: Limits,
    groups: BTreeMap<GroupName, Group>,
    /// The groups of the database, open or closed; None before the first read.
    registered: Option<BTreeSet<GroupName>>,
    /// The members that never beat, by number: the earliest join comes first.
    never_beat: BTreeMap<u64, GroupName>,
    /// The members by the address of the connection that joined; IPv6 addresses by their network.
    by_peer: HashMap<IpAddr, BTreeMap<u64, GroupName>>,
    /// The OFFLINE members by the time of the latest beat and by number: the longest silence comes first.
    offline: BTreeMap<(Duration, u64), GroupName>,
    /// Number of members that remember each cluster.
    clusters: BTreeMap<ClusterId, usize>,
    /// The members that have a node id.
    by_node: BTreeMap<NodeId, (GroupName, u64)>,
    /// The members to connect to; those whose connection is being tried are not in it.
    probe_queue: ProbeQueue,
    n_members: usize,
    n_joins: u64,
}

impl Groups {
    pub(crate) fn new(limits: Limits) -> Groups {
        Groups {
            limits,
            groups: BTreeMap::new(),
            registered: None,
            never_beat: BTreeMap::new(),
            by_peer: HashMap::new(),
            clusters: BTreeMap::new(),
            offline: BTreeMap::new(),
            by_node: BTreeMap::new(),
            probe_queue: ProbeQueue::default(),
            n_members: 0,
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
        let known = self
            .groups
            .get(&name)
            .and_then(|group| group.at(address.addr));
        let is_new = known.is_none();
        let forgotten = if is_new {
            self.evict_for(address.peer, &name)?
        } else {
            None
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
        let (name, number) = (&handle.group, handle.number);
        let before = self.remove(name, number);
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
            remembers: address.remembers,
            cluster: None,
            note: address.note,
            reachability: Reachability::initial(address.is_probed),
            heard: now.elapsed,
            join_number: handle.join_number,
        };
        if let Some(node) = address.node {
            self.by_node.insert(node, (name.clone(), number));
        }
        if !has_beaten {
            self.never_beat.insert(number, name.clone());
        }
        let of_peer = self.by_peer.entry(one_host(address.peer)).or_default();
        of_peer.insert(number, name.clone());
        if address.is_probed {
            self.probe_queue.set(number, name, now.elapsed);
        }
        self.n_members += 1;
        let group = self.groups.entry(name.clone()).or_default();
        group.put(number, member);
        self.note_cluster(handle, address.cluster);
    }

    fn remove(&mut self, name: &GroupName, number: u64) -> Option<Member> {
        let group = self.groups.get_mut(name)?;
        let removed = group.remove(number)?;
        if group.members.is_empty() {
            self.groups.remove(name);
        }
        self.n_members -= 1;
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
            && self.by_node.get(node).is_some_and(|(_, n)| *n == number)
        {
            self.by_node.remove(node);
        }
        Some(removed)
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

    /// Makes silent members OFFLINE and returns those.
    pub(crate) fn check(&mut self, now: Now) -> Vec<Member> {
        let Some(since) = now.elapsed.checked_sub(self.limits.check_interval) else {
            return Vec::new();
        };
        let mut lost = Vec::new();
        for (name, group) in &mut self.groups {
            for (number, member) in group.check(since) {
                self.offline.insert((member.heard, number), name.clone());
                self.probe_queue.forget(number);
                lost.push(member);
            }
        }
        lost
    }

    /// Number of members in any state.
    pub(crate) fn len(&self) -> usize {
        self.n_members
    }

    /// Numbers of members by group.
    pub(crate) fn counts(&self) -> BTreeMap<GroupName, MemberCounts> {
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

    /// Copies all members: groups by name, members in order of joining.
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
