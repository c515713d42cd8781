//! Which members clients are sent to.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use proto::GroupName;
use proto::report::Drain;
use proto::tracker::ADDRESSES_MAX;

use super::group::Group;
use super::{Count, Groups, Member};

impl Groups {
    /// Where to send a client of a group: at most [`ADDRESSES_MAX`] ACTIVE members that are not
    /// drained, the first one by `chance`, the others those that joined after it, in a ring; those
    /// that take no uploads come after all that do. Those whose disks do not answer are left out,
    /// unless there is nobody else: what they say is worth more to a client than nothing. A loopback
    /// address is for clients of this machine only.
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
        let ring = |rank: Rank| {
            from.iter()
                .chain(before)
                .filter_map(|number| group.members.get(number))
                .filter(|member| member.is_offered())
                .filter(|member| !member.addr.ip().is_loopback() || client.is_loopback())
                .filter(move |member| Rank::of(member) == rank)
                .map(|member| member.addr)
        };
        let useful = ring(Rank::Full).chain(ring(Rank::ReadOnly));
        let useful: Vec<_> = useful.take(ADDRESSES_MAX).collect();
        if useful.is_empty() {
            return ring(Rank::None).take(ADDRESSES_MAX).collect();
        }
        useful
    }

    /// The groups that have an ACTIVE member which takes uploads.
    pub(crate) fn with_takers(&self) -> BTreeSet<GroupName> {
        let groups = self.groups.iter();
        groups
            .filter(|(_, group)| group.has_taker())
            .map(|(name, _)| name.clone())
            .collect()
    }
}

/// What a member is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    /// Uploads and downloads.
    Full,
    /// Downloads.
    ReadOnly,
    /// Neither, as far as it knows itself.
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

impl Group {
    /// How many there are; those that are OFFLINE are counted elsewhere.
    pub(super) fn count(&self) -> Count {
        let count = |is: fn(&Member) -> bool| {
            let active = self.active.iter().filter_map(|n| self.members.get(n));
            active.filter(|member| is(member)).count()
        };
        Count {
            members: self.members.len(),
            active: self.active.len(),
            offline: 0,
            offered: count(Member::is_offered),
            unreachable: count(|member| member.reach.is_bad()),
            drained: count(|member| member.drain() != Drain::None),
        }
    }

    fn has_taker(&self) -> bool {
        let mut active = self.active.iter().filter_map(|n| self.members.get(n));
        active.any(|member| member.is_offered() && member.takes_uploads())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proto::report::Report;

    use super::super::tests::{ip, join, limits, now, place};
    use super::*;

    #[test]
    fn who_serves_no_downloads_is_offered_when_nobody_else_is_left() {
        let mut groups = Groups::new(limits(10));
        let group: GroupName = "g1".parse().unwrap();
        let tickets = [1, 2, 3].map(|host| {
            let joined = groups.join(place(ip(host), 1), join(1, host, 1), now(0));
            let ticket = joined.unwrap().ticket;
            groups.beat(&ticket, now(0)).unwrap();
            ticket
        });
        let mut turn = |host: usize, uploads, downloads| {
            let report = Report {
                uploads,
                downloads,
                ..Report::default()
            };
            groups
                .report(&tickets[host - 1], Arc::new(report), now(0))
                .unwrap();
            let offered = groups.active(&group, 0, ip(9));
            let offered = offered.iter().map(|addr| match addr.ip() {
                IpAddr::V4(ip) => ip.octets()[3],
                IpAddr::V6(_) => 0,
            });
            offered.collect::<Vec<_>>()
        };
        assert_eq!(turn(1, false, true), [2, 3, 1]);
        assert_eq!(turn(2, false, false), [3, 1]);
        assert_eq!(turn(3, false, false), [1]);
        assert_eq!(turn(1, false, false), [1, 2, 3]);
        assert_eq!(turn(2, true, true), [2]);
        assert!(groups.with_takers().contains(&group));
    }
}
