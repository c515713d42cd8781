//! The members of one group.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Member, State};

/// One group. A member has the number of its first join, so members are in order of joining.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) members: BTreeMap<u64, Member>,
    pub(super) by_addr: BTreeMap<(IpAddr, u16), u64>,
    /// The numbers of the ACTIVE members, in order, so that a reply picks three without a scan.
    pub(super) active: Vec<u64>,
}

impl Group {
    /// The number of the member with this address.
    pub(super) fn at(&self, addr: SocketAddr) -> Option<u64> {
        self.by_addr.get(&(addr.ip(), addr.port())).copied()
    }

    /// Puts a member and returns the previous one.
    pub(super) fn put(&mut self, number: u64, member: Member) -> Option<Member> {
        self.set_state(number, member.state);
        self.by_addr
            .insert((member.addr.ip(), member.addr.port()), number);
        self.members.insert(number, member)
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Member> {
        self.set_state(number, State::Offline);
        let member = self.members.remove(&number)?;
        self.by_addr.remove(&(member.addr.ip(), member.addr.port()));
        Some(member)
    }

    /// Makes the members OFFLINE whose latest beat was at `since` or before, and returns them.
    pub(super) fn check(&mut self, since: Duration) -> Vec<(u64, Member)> {
        let mut lost = Vec::new();
        for (number, member) in &mut self.members {
            if member.state != State::Offline && member.heard <= since {
                member.state = State::Offline;
                lost.push((*number, member.clone()));
            }
        }
        if !lost.is_empty() {
            // One pass: after a network failure it is all members.
            let members = &self.members;
            let state = |number: &u64| members.get(number).map(|member| member.state);
            self.active
                .retain(|number| state(number) == Some(State::Active));
        }
        lost
    }

    /// Sets the state and updates the list of ACTIVE members. The member need not be there yet.
    pub(super) fn set_state(&mut self, number: u64, state: State) {
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
