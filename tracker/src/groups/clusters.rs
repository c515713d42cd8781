//! Which cluster the members remember. A tracker's database has the id of its cluster and storages remember
//! it: where they differ the database is new or the wrong one.

use proto::ClusterId;

use super::{Groups, MemberHandle};

/// A cluster that is not the one of the tracker's database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OtherCluster {
    pub(crate) cluster: ClusterId,
    /// Number of members that remember it.
    pub(crate) members: usize,
    /// Number of members that remember the tracker's.
    pub(crate) own_members: usize,
}

impl Groups {
    /// Records which cluster a member remembers.
    pub(crate) fn note_cluster(&mut self, handle: &MemberHandle, cluster: Option<ClusterId>) {
        if self.member_of(handle).is_none() {
            return;
        }
        let group = self.groups.get_mut(&handle.group);
        let member = group.and_then(|group| group.members.get_mut(&handle.number));
        if let Some(member) = member {
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

    /// The other cluster that most members remember, unless more of them remember `own`. One storage of
    /// another cluster must not make this database the wrong one.
    pub(crate) fn other_cluster(&self, own: Option<&ClusterId>) -> Option<OtherCluster> {
        let own_members = own.and_then(|own| self.clusters.get(own)).copied();
        let own_members = own_members.unwrap_or(0);
        let others = self.clusters.iter().filter(|(id, _)| Some(*id) != own);
        let (cluster, &members) = others.max_by_key(|(_, members)| **members)?;
        (members >= own_members).then(|| OtherCluster {
            cluster: cluster.clone(),
            members,
            own_members,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{address, ip, join, limits, now};
    use super::super::{Joined, MemberAddress};
    use super::*;

    #[test]
    fn most_members_decide_which_database_is_the_right_one() {
        let mut groups = Groups::new(limits(10));
        let [own, other]: [ClusterId; 2] = ["aa", "bb"].map(|id| id.parse().unwrap());
        let enter = |groups: &mut Groups, host: u8, cluster: Option<&ClusterId>| -> Joined {
            let address = MemberAddress {
                cluster: cluster.cloned(),
                ..address(ip(host), 1)
            };
            groups.join(address, join(1, host, 1), now(0)).unwrap()
        };
        let members = |groups: &Groups| {
            groups
                .other_cluster(Some(&own))
                .map(|other_cluster| other_cluster.members)
        };
        enter(&mut groups, 1, None);
        assert_eq!(members(&groups), None);
        enter(&mut groups, 2, Some(&own));
        assert_eq!(members(&groups), None);
        let stray = enter(&mut groups, 3, Some(&other));
        assert_eq!(members(&groups), Some(1));
        let new = enter(&mut groups, 4, None);
        groups.note_cluster(&new.handle, Some(own.clone()));
        assert_eq!(members(&groups), None);
        groups.leave(&new.handle).unwrap();
        assert_eq!(members(&groups), Some(1));
        // It joins again, and is counted once.
        enter(&mut groups, 3, Some(&other));
        groups.note_cluster(&stray.handle, Some(own.clone()));
        assert_eq!(members(&groups), Some(1));
        assert_eq!(groups.clusters.values().sum::<usize>(), 2);
        assert_eq!(groups.other_cluster(None).unwrap().members, 1);
    }
}
