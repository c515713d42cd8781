//! Which cluster the members say they belong to: the database of a tracker names one, and storages
//! remember it. Where they differ the database is new, or was put in the place of the right one.

use proto::ClusterId;

use super::{Groups, Ticket};

/// A cluster that is not the tracker's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rival {
    pub(crate) cluster: ClusterId,
    /// How many members remember it.
    pub(crate) members: usize,
    /// How many remember the tracker's.
    pub(crate) loyal: usize,
}

impl Groups {
    /// A member told which cluster it remembers.
    pub(crate) fn note_cluster(&mut self, ticket: &Ticket, cluster: Option<ClusterId>) {
        if self.member_of(ticket).is_none() {
            return;
        }
        let group = self.groups.get_mut(&ticket.group);
        let member = group.and_then(|group| group.members.get_mut(&ticket.number));
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

    /// The other cluster that most members remember, unless more of them remember `own`: a storage
    /// that was set up for another cluster does not make this one's database the wrong one.
    pub(crate) fn rival(&self, own: Option<&ClusterId>) -> Option<Rival> {
        let loyal = own.and_then(|own| self.clusters.get(own)).copied();
        let loyal = loyal.unwrap_or(0);
        let others = self.clusters.iter().filter(|(id, _)| Some(*id) != own);
        let (cluster, &members) = others.max_by_key(|(_, members)| **members)?;
        (members >= loyal).then(|| Rival {
            cluster: cluster.clone(),
            members,
            loyal,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ip, join, limits, now, place};
    use super::super::{Joined, Place};
    use super::*;

    #[test]
    fn most_members_decide_which_database_is_the_right_one() {
        let mut groups = Groups::new(limits(10));
        let [own, other]: [ClusterId; 2] = ["aa", "bb"].map(|id| id.parse().unwrap());
        let enter = |groups: &mut Groups, host: u8, cluster: Option<&ClusterId>| -> Joined {
            let place = Place {
                cluster: cluster.cloned(),
                ..place(ip(host), 1)
            };
            groups.join(place, join(1, host, 1), now(0)).unwrap()
        };
        let members = |groups: &Groups| groups.rival(Some(&own)).map(|rival| rival.members);
        enter(&mut groups, 1, None);
        assert_eq!(members(&groups), None);
        enter(&mut groups, 2, Some(&own));
        assert_eq!(members(&groups), None);
        let stray = enter(&mut groups, 3, Some(&other));
        assert_eq!(members(&groups), Some(1));
        let new = enter(&mut groups, 4, None);
        groups.note_cluster(&new.ticket, Some(own.clone()));
        assert_eq!(members(&groups), None);
        groups.leave(&new.ticket).unwrap();
        assert_eq!(members(&groups), Some(1));
        // It joins again, and is counted once.
        enter(&mut groups, 3, Some(&other));
        groups.note_cluster(&stray.ticket, Some(own.clone()));
        assert_eq!(members(&groups), Some(1));
        assert_eq!(groups.clusters.values().sum::<usize>(), 2);
        assert_eq!(groups.rival(None).unwrap().members, 1);
    }
}
