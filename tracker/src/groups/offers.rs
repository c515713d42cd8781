//! Which members clients are sent to.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use proto::GroupName;
use proto::report::Drain;
use proto::tracker::ADDRESSES_MAX;

use super::group::Group;
use super::{Groups, Member, MemberCounts};

impl Groups {
    /// The addresses for a client of a group: at most [`ADDRESSES_MAX`] ACTIVE members that are not drained.
    /// `random` selects the first one; the others follow in order of joining, as in a ring. Members that
    /// accept no uploads come last. Members that serve no downloads are offered only when there are no
    /// others, so that the client gets their error. A loopback address is for clients on this machine. With
    /// `near_first` the members at the address of the client come first: it can read their files from the disk.
    pub(crate) fn active(
        &self,
        group: &GroupName,
        random: usize,
        client: IpAddr,
        near_first: bool,
    ) -> Vec<SocketAddr> {
        let Some(group) = self.groups.get(group) else {
            return Vec::new();
        };
        let start = random.checked_rem(group.active.len()).unwrap_or(0);
        let (before, from) = group.active.split_at(start);
        let ring = |rank: Rank| {
            from.iter()
                .chain(before)
                .filter_map(|number| self.members.get(number))
                .filter(|member| member.is_offered())
                .filter(|member| !member.addr.ip().is_loopback() || client.is_loopback())
                .filter(move |member| Rank::of(member) == rank)
                .map(|member| member.addr)
        };
        let useful = ring(Rank::Full).chain(ring(Rank::ReadOnly));
        let mut useful: Vec<_> = useful.collect();
        if near_first {
            useful.sort_by_key(|addr| addr.ip() != client);
        }
        useful.truncate(ADDRESSES_MAX);
        if useful.is_empty() {
            return ring(Rank::None).take(ADDRESSES_MAX).collect();
        }
        useful
    }

    /// The groups with an ACTIVE member that accepts uploads.
    pub(crate) fn accepting_uploads(&self) -> BTreeSet<GroupName> {
        let groups = self.groups.iter();
        groups
            .filter(|(_, group)| {
                let mut active = self.active_members(group);
                active.any(|member| member.is_offered() && member.takes_uploads())
            })
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Numbers of members, without those that are OFFLINE: [`Groups::counts`] adds them.
    pub(super) fn count(&self, group: &Group) -> MemberCounts {
        let count = |is: fn(&Member) -> bool| {
            let active = self.active_members(group);
            active.filter(|member| is(member)).count()
        };
        MemberCounts {
            members: group.members.len(),
            active: group.active.len(),
            offline: 0,
            offered: count(Member::is_offered),
            unreachable: count(|member| member.reachability.is_failing()),
            drained: count(|member| member.drain() != Drain::None),
        }
    }
}

/// The operations that a member serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    /// Uploads and downloads.
    Full,
    /// Downloads.
    ReadOnly,
    /// Neither.
    None,
}

impl Rank {
    fn of(member: &Member) -> Rank {
        match (member.serves_downloads(), member.takes_uploads()) {
            (false, _) => Rank::None,
            (true, false) => Rank::ReadOnly,
            (true, true) => Rank::Full,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proto::report::Report;

    use super::super::tests::{address, ip, join, limits, now};
    use super::*;

    #[test]
    fn who_serves_no_downloads_is_offered_when_nobody_else_is_left() {
        let mut groups = Groups::new(limits(10));
        let group: GroupName = "g1".parse().unwrap();
        let handles = [1, 2, 3].map(|host| {
            let joined = groups.join(address(ip(host), 1), join(1, host, 1), now(0));
            let handle = joined.unwrap().handle;
            groups.beat(&handle, now(0)).unwrap();
            handle
        });
        let mut turn = |host: usize, uploads, downloads| {
            let report = Report {
                uploads,
                downloads,
                ..Report::default()
            };
            groups
                .report(&handles[host - 1], Arc::new(report), now(0))
                .unwrap();
            let offered = groups.active(&group, 0, ip(9), false);
            let offered = offered.iter().map(|addr| match addr.ip() {
                IpAddr::V4(ip) => ip.octets()[3],
                IpAddr::V6(_) => 0,
            });
            let takes_new_users = groups.accepting_uploads().contains(&group);
            (offered.collect::<Vec<_>>(), takes_new_users)
        };
        assert_eq!(turn(1, false, true), (vec![2, 3, 1], true));
        assert_eq!(turn(2, false, false), (vec![3, 1], true));
        assert_eq!(turn(3, false, false), (vec![1], false));
        assert_eq!(turn(1, false, false), (vec![1, 2, 3], false));
        assert_eq!(turn(2, true, true), (vec![2], true));
    }

    #[test]
    fn a_reader_gets_the_member_of_its_own_machine_first() {
        let mut groups = Groups::new(limits(10));
        let group: GroupName = "g1".parse().unwrap();
        for host in 1..=5 {
            let joined = groups.join(address(ip(host), 1), join(1, host, 1), now(0));
            groups.beat(&joined.unwrap().handle, now(0)).unwrap();
        }
        for random in 0..5 {
            let near = groups.active(&group, random, ip(4), true);
            assert_eq!((near.len(), near[0].ip()), (ADDRESSES_MAX, ip(4)));
        }
        let far = groups.active(&group, 0, ip(4), false);
        assert!(far.iter().all(|addr| addr.ip() != ip(4)));
    }
}
