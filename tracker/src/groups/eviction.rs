//! Which members are evicted for new ones, and which expire. Anybody may join under any name, as often as they
//! like: that must not keep real storages out.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use net::peer_host::one_host;
use proto::{ErrorCode, Fault, GroupName};

use super::{Groups, Member, Now, State};

/// Silence after which a member expires whose group is not in the database.
const FORGET_AFTER: Duration = Duration::from_secs(300);
/// Shortest silence after which a member expires that never beat: a storage beats when it has joined.
const NEVER_BEAT_MIN: Duration = Duration::from_secs(60);
/// Check intervals after which such a member expires. It is OFFLINE after one.
const NEVER_BEAT_INTERVALS: u32 = 2;
/// Members of groups that are not in the database may be one of this many members.
const UNREGISTERED_SHARE: usize = 10;

impl Groups {
    /// Makes room for a member that joins `group` from `peer`. Returns the member that was evicted.
    ///
    /// # Errors
    /// Busy: a limit is reached, and no member may be evicted.
    pub(super) fn evict_for(
        &mut self,
        peer: IpAddr,
        group: &GroupName,
    ) -> Result<Option<Member>, Fault> {
        let Some((what, found)) = self.full_limit(peer, group) else {
            return Ok(None);
        };
        match found {
            Some(number) => Ok(self.remove(number)),
            None => Err(Fault::new(
                ErrorCode::Busy,
                format!("{what} already, no room for more"),
            )),
        }
    }

    /// The limit that is reached, in words, and the member that may be evicted.
    fn full_limit(&self, peer: IpAddr, group: &GroupName) -> Option<(String, Option<u64>)> {
        let of_peer = self.by_peer.get(&one_host(peer));
        let n_of_peer = of_peer.map_or(0, BTreeSet::len);
        if n_of_peer >= self.most_of(peer) {
            let evictable = of_peer.into_iter().flatten().filter_map(|number| {
                let member = self.members.get(number)?;
                let is_evictable = !member.has_beaten || member.state == State::Offline;
                is_evictable.then_some((member.has_beaten, member.heard, *number))
            });
            let found = evictable.min().map(|(.., number)| number);
            return Some((format!("{n_of_peer} members from {peer}"), found));
        }
        let n_members = self.members.len();
        if n_members >= self.limits.members_max {
            let found = self.first_evictable(|_| true);
            return Some((format!("{n_members} members"), found));
        }
        let n_unregistered = self.n_unregistered();
        let most = (self.limits.members_max / UNREGISTERED_SHARE).max(1);
        if !self.is_registered(group) && n_unregistered >= most {
            let found = self.first_evictable(|number| !self.is_in_registered(number));
            let what = format!("{n_unregistered} members of groups that are not in the database");
            return Some((what, found));
        }
        None
    }

    /// Most members that join from this address. Of another machine these are never all members: it could keep
    /// every storage out.
    fn most_of(&self, peer: IpAddr) -> usize {
        let most = self.limits.per_address;
        match peer.is_loopback() {
            true => most,
            false => most.min((self.limits.members_max / 2).max(1)),
        }
    }

    /// Of the members that match: the first one that joined and never beat, or else the one that has been
    /// OFFLINE for longest.
    fn first_evictable(&self, matches: impl Fn(u64) -> bool) -> Option<u64> {
        let offline = self.offline.iter().map(|(_, number)| number);
        let mut evictable = self.never_beat.iter().chain(offline).copied();
        evictable.find(|number| matches(*number))
    }

    /// True when the member belongs to a group that [is registered](Groups::is_registered).
    fn is_in_registered(&self, number: u64) -> bool {
        let member = self.members.get(&number);
        member.is_some_and(|member| self.is_registered(member.group()))
    }

    /// True when the group is in the database, or the database was not read yet.
    pub(super) fn is_registered(&self, group: &GroupName) -> bool {
        let registered = self.registered.as_ref();
        registered.is_none_or(|groups| groups.contains(group))
    }

    fn n_unregistered(&self) -> usize {
        let Some(registered) = &self.registered else {
            return 0;
        };
        let known = registered.iter().filter_map(|name| self.groups.get(name));
        self.members.len() - known.map(|group| group.members.len()).sum::<usize>()
    }

    /// Removes silent members that may never have been storages, and returns them: those that never beat soon,
    /// those of a group that is not in the database after [`FORGET_AFTER`].
    pub(crate) fn expire(&mut self, now: Now) -> Vec<Member> {
        let never_beat = self
            .limits
            .check_interval
            .saturating_mul(NEVER_BEAT_INTERVALS);
        let never_beat = never_beat.max(NEVER_BEAT_MIN);
        let is_over = |heard: Duration, time: Duration| now.elapsed.saturating_sub(heard) >= time;
        let silent = self.offline.iter();
        let silent = silent.take_while(|(heard, _)| is_over(*heard, never_beat.min(FORGET_AFTER)));
        let is_expired = |(heard, number): &&(Duration, u64)| match self.never_beat.contains(number)
        {
            true => is_over(*heard, never_beat),
            false => is_over(*heard, FORGET_AFTER) && !self.is_in_registered(*number),
        };
        let expired: Vec<u64> = silent
            .filter(is_expired)
            .map(|(_, number)| *number)
            .collect();
        expired.into_iter().filter_map(|n| self.remove(n)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::super::tests::{INTERVAL, address, ip, join, limits, now};
    use super::super::{Joined, Limits};
    use super::*;

    fn addrs(groups: &Groups) -> Vec<SocketAddr> {
        let all = groups.snapshot().into_iter().flat_map(|(_, all)| all);
        all.map(|member| member.addr).collect()
    }

    /// Joins group `group` from address `host`, and beats.
    fn living(groups: &mut Groups, group: u8, host: u8, port: u16) -> Joined {
        let joined = groups.join(address(ip(host), port), join(group, host, port), now(0));
        let joined = joined.unwrap();
        groups.beat(&joined.handle, now(0)).unwrap();
        joined
    }

    #[test]
    fn one_address_does_not_fill_the_list() {
        let mut groups = Groups::new(Limits {
            per_address: 3,
            ..limits(100)
        });
        let storage = living(&mut groups, 1, 1, 1);
        for port in 1..=100 {
            groups
                .join(address(ip(2), port), join(1, 2, port), now(1))
                .unwrap();
        }
        assert_eq!(groups.len(), 4);
        groups.leave(&storage.handle).unwrap();
        assert!(living(&mut groups, 1, 1, 1).is_new);
        // Live members stay; a silent one is evicted for the next.
        for port in 98..=100 {
            living(&mut groups, 1, 2, port);
        }
        let fault = groups
            .join(address(ip(2), 1), join(1, 2, 1), now(2))
            .unwrap_err();
        assert_eq!(fault.code, ErrorCode::Busy);
        assert_eq!(
            fault.message,
            "3 members from 127.0.0.2 already, no room for more"
        );
        groups.check(now(INTERVAL.as_secs()));
        assert!(
            groups
                .join(address(ip(2), 1), join(1, 2, 1), now(40))
                .is_ok()
        );
    }

    #[test]
    fn another_machine_never_has_all_members() {
        let mut groups = Groups::new(limits(6));
        let far: IpAddr = [192, 0, 2, 1].into();
        let live = |groups: &mut Groups, ip: IpAddr, port: u16| {
            let joined = groups.join(address(ip, port), join(1, 1, port), now(0))?;
            groups.beat(&joined.handle, now(0)).unwrap();
            Ok::<(), Fault>(())
        };
        for port in 1..=3 {
            live(&mut groups, far, port).unwrap();
        }
        let fault = live(&mut groups, far, 4).unwrap_err();
        assert_eq!(fault.code, ErrorCode::Busy);
        assert!(
            fault.message.contains("3 members from 192.0.2.1"),
            "{fault}"
        );
        for host in 2..=4 {
            live(&mut groups, [192, 0, 2, host].into(), 1).unwrap();
        }
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one() {
        let mut groups = Groups::new(Limits {
            per_address: 2,
            ..limits(100)
        });
        for n in 1..=20 {
            let ip: IpAddr = format!("2001:db8::{n}").parse().unwrap();
            groups.join(address(ip, 1), join(1, 1, 1), now(0)).unwrap();
        }
        assert_eq!(groups.len(), 2);
    }

    #[test]
    fn who_never_beat_goes_before_a_storage_that_is_away() {
        let mut groups = Groups::new(limits(3));
        living(&mut groups, 1, 1, 1);
        living(&mut groups, 1, 2, 1);
        groups.check(now(40));
        groups
            .join(address(ip(3), 1), join(1, 3, 1), now(41))
            .unwrap();
        let forgotten = groups
            .join(address(ip(4), 1), join(1, 4, 1), now(41))
            .unwrap();
        assert_eq!(forgotten.forgotten.unwrap().addr.ip(), ip(3));
    }

    #[test]
    fn groups_that_are_not_in_the_database_have_a_share() {
        let mut groups = Groups::new(limits(20));
        groups.register(std::iter::once("g1".parse().unwrap()).collect());
        for host in 1..=5 {
            living(&mut groups, 1, host, 1);
        }
        living(&mut groups, 2, 6, 1);
        living(&mut groups, 3, 7, 1);
        let fault = groups
            .join(address(ip(8), 1), join(4, 8, 1), now(1))
            .unwrap_err();
        assert_eq!(fault.code, ErrorCode::Busy);
        assert!(fault.message.contains("not in the database"), "{fault}");
        living(&mut groups, 1, 9, 1);
    }

    #[test]
    fn silent_strangers_are_forgotten_soon_and_silent_storages_are_not() {
        let mut groups = Groups::new(limits(100));
        groups.register(std::iter::once("g1".parse().unwrap()).collect());
        living(&mut groups, 1, 1, 1);
        living(&mut groups, 2, 2, 1);
        groups
            .join(address(ip(3), 1), join(1, 3, 1), now(0))
            .unwrap();
        groups.check(now(40));
        assert!(groups.expire(now(59)).is_empty());
        let never_beat = groups.expire(now(60));
        assert_eq!(never_beat.len(), 1);
        assert_eq!(never_beat[0].addr.ip(), ip(3));
        assert!(groups.expire(now(299)).is_empty());
        assert_eq!(groups.expire(now(300)).len(), 1);
        assert_eq!(addrs(&groups), [SocketAddr::new(ip(1), 1)]);
        assert!(groups.never_beat.is_empty() && groups.by_peer.len() == 1);
        assert!(groups.expire(now(9000)).is_empty());
    }
}
