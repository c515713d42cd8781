//! The members of one group.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// The numbers of the members of one group, which are in order of joining.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) members: BTreeSet<u64>,
    pub(super) by_addr: BTreeMap<(IpAddr, u16), u64>,
    /// The ACTIVE members, in order, so that a reply picks three without a scan.
    pub(super) active: Vec<u64>,
}

impl Group {
    /// The member with this address.
    pub(super) fn at(&self, addr: SocketAddr) -> Option<u64> {
        self.by_addr.get(&(addr.ip(), addr.port())).copied()
    }

    /// Adds a member that is not ACTIVE.
    pub(super) fn insert(&mut self, number: u64, addr: SocketAddr) {
        self.members.insert(number);
        self.by_addr.insert((addr.ip(), addr.port()), number);
    }

    pub(super) fn remove(&mut self, number: u64, addr: SocketAddr) {
        self.members.remove(&number);
        self.by_addr.remove(&(addr.ip(), addr.port()));
        if let Ok(idx) = self.active.binary_search(&number) {
            self.active.remove(idx);
        }
    }

    /// Adds a member to the ACTIVE ones.
    pub(super) fn activate(&mut self, number: u64) {
        if let Err(idx) = self.active.binary_search(&number) {
            self.active.insert(idx, number);
        }
    }
}
