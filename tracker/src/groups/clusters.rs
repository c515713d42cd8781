//! Which cluster the members remember. A tracker's database has the id of its cluster and storages remember
//! it: where they differ the database is new or the wrong one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use net::peer_host::one_host;
use proto::ClusterId;

use super::{Groups, Member, MemberHandle, State};

/// A cluster that is not the one of the tracker's database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OtherCluster {
    pub(crate) cluster: ClusterId,
    /// Number of hosts whose members remember it.
    pub(crate) members: usize,
    /// Number of hosts whose members remember the tracker's.
    pub(crate) own_members: usize,
}

impl Groups {
    /// Records which cluster a member remembers.
    pub(crate) fn note_cluster(&mut self, handle: &MemberHandle, cluster: Option<ClusterId>) {
        if let Some(member) = self.member_of(handle) {
            let before = std::mem::replace(&mut member.cluster, cluster.clone());
            self.count_cluster(before.as_ref(), cluster.as_ref());
        }
    }

    pub(super) fn count_cluster(&mut self, before: Option<&ClusterId>, after: Option<&ClusterId>) {
        if let Some(cluster) = after {
            *self.clusters.entry(cluster.clone()).or_default() += 1;
        }
        let Some(cluster) = before else { return };
        if let Some(members) = self.clusters.get_mut(cluster) {
            *members -= 1;
            if *members == 0 {
                self.clusters.remove(cluster);
            }
        }
    }

    /// The other cluster that most members remember, if more of them remember it than `own`. Counts hosts
    /// with a member that sends beats in a registered group: a stranger that joins many times, or one storage
    /// of another cluster, must not make this database the wrong one.
    pub(crate) fn other_cluster(&self, own: Option<&ClusterId>) -> Option<OtherCluster> {
        self.clusters.keys().find(|id| Some(*id) != own)?;
        let mut hosts: BTreeMap<&ClusterId, BTreeSet<IpAddr>> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((cluster, host)) = member.witness()
                && self.is_registered(member.group())
            {
                hosts.entry(cluster).or_default().insert(host);
            }
        }
        let own_hosts = own.and_then(|own| hosts.get(own)).map_or(0, BTreeSet::len);
        let others = hosts.iter().filter(|(id, _)| Some(**id) != own);
        let (cluster, hosts) = others.max_by_key(|(_, hosts)| hosts.len())?;
        (hosts.len() > own_hosts).then(|| OtherCluster {
            cluster: (*cluster).clone(),
            members: hosts.len(),
            own_members: own_hosts,
        })
    }
}

impl Member {
    /// The cluster that an ACTIVE member remembers, and its host.
    fn witness(&self) -> Option<(&ClusterId, IpAddr)> {
        let cluster = self.cluster.as_ref()?;
        (self.state == State::Active).then(|| (cluster, one_host(self.peer)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{address, ip, join, limits, now};
    use super::super::{Joined, MemberAddress};
    use super::*;

    fn ids() -> [ClusterId; 2] {
        ["aa", "bb"].map(|id| id.parse().unwrap())
    }

    /// Joins without a beat.
    fn enter(groups: &mut Groups, host: u8, port: u16, cluster: Option<&ClusterId>) -> Joined {
        let address = MemberAddress {
            cluster: cluster.cloned(),
            ..address(ip(host), port)
        };
        groups.join(address, join(1, host, port), now(0)).unwrap()
    }

    fn live(groups: &mut Groups, host: u8, cluster: Option<&ClusterId>) -> Joined {
        let joined = enter(groups, host, 1, cluster);
        groups.beat(&joined.handle, now(0)).unwrap();
        joined
    }

    fn others(groups: &Groups, own: &ClusterId) -> Option<usize> {
        groups.other_cluster(Some(own)).map(|found| found.members)
    }

    #[test]
    fn most_members_decide_which_database_is_the_right_one() {
        let mut groups = Groups::new(limits(10));
        let [own, other] = ids();
        live(&mut groups, 1, None);
        assert_eq!(others(&groups, &own), None);
        live(&mut groups, 3, Some(&other));
        assert_eq!(others(&groups, &own), Some(1));
        let second = live(&mut groups, 2, Some(&own));
        assert_eq!(others(&groups, &own), None);
        let third = live(&mut groups, 4, None);
        groups.note_cluster(&third.handle, Some(other.clone()));
        assert_eq!(others(&groups, &own), Some(2));
        groups.leave(&third.handle).unwrap();
        assert_eq!(others(&groups, &own), None);
        groups.leave(&second.handle).unwrap();
        // It joins again, and is counted once.
        live(&mut groups, 3, Some(&other));
        assert_eq!(groups.clusters.values().sum::<usize>(), 1);
        assert_eq!(groups.other_cluster(None).unwrap().members, 1);
    }

    #[test]
    fn strangers_do_not_make_the_database_the_wrong_one() {
        let mut groups = Groups::new(limits(10));
        let [own, other] = ids();
        live(&mut groups, 1, Some(&own));
        // Many members of one host, which beat, count once.
        for port in 1..=3 {
            let joined = enter(&mut groups, 2, port, Some(&other));
            groups.beat(&joined.handle, now(0)).unwrap();
        }
        // Members that never beat do not count.
        enter(&mut groups, 3, 1, Some(&other));
        enter(&mut groups, 4, 1, Some(&other));
        assert_eq!(others(&groups, &own), None);
        groups.register(BTreeSet::new());
        live(&mut groups, 3, Some(&other));
        live(&mut groups, 4, Some(&other));
        assert_eq!(others(&groups, &own), None, "their group is not registered");
    }
}
