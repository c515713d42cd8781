//! Merges the answers of all trackers and finds their differences. Pure.

use std::collections::BTreeMap;

use proto::Address;
use proto::cluster::{Cluster, Group, Storage, Tracker};
use serde::Serialize;

use super::idservers::{self, Idserver};
use super::status_page::StatusPage;
use super::storage_state::is_active;

/// The cluster.
#[derive(Debug, Default, Serialize)]
pub(super) struct View {
    pub(super) trackers: Vec<Answer>,
    /// The groups by name. If several trackers know a member, an ACTIVE entry goes first, then the
    /// fuller entry, then the one with the latest beat.
    pub(super) groups: Vec<Group>,
    /// The differences between trackers, one line each.
    pub(super) differences: Vec<String>,
    /// Storages that a tracker refused.
    pub(super) refused: Vec<String>,
    /// The idservers as the storages find them.
    pub(super) idservers: Vec<Idserver>,
    /// The answers of status ports.
    pub(super) status_ports: Vec<StatusPage>,
}

/// The answer of one tracker, or its failure.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    pub(super) address: Address,
    /// About itself; a C++ tracker tells nothing.
    pub(super) tracker: Option<Tracker>,
    /// The error, if the tracker did not answer.
    pub(super) error: Option<String>,
}

impl View {
    pub(super) fn new(
        answers: Vec<(Address, Result<Cluster, String>)>,
        status_ports: Vec<StatusPage>,
    ) -> View {
        let clusters: Vec<(&Address, &Cluster)> = answers
            .iter()
            .filter_map(|(address, answer)| Some((address, answer.as_ref().ok()?)))
            .collect();
        let groups = merge(&clusters);
        let differences = differences(&clusters, &groups);
        let refused = clusters.iter().flat_map(|(address, cluster)| {
            let texts = cluster.refused.iter();
            texts.map(move |refused| format!("{} (by tracker {address})", refused.text))
        });
        let refused = refused.collect();
        let trackers = answers.iter().map(|(address, answer)| Answer {
            address: address.clone(),
            tracker: answer.as_ref().ok().map(|cluster| cluster.tracker.clone()),
            error: answer.as_ref().err().cloned(),
        });
        View {
            trackers: trackers.collect(),
            idservers: idservers::of(&groups),
            status_ports,
            groups,
            differences,
            refused,
        }
    }

    /// How many trackers answered.
    pub(super) fn answered(&self) -> usize {
        let answered = self.trackers.iter().filter(|t| t.error.is_none());
        answered.count()
    }

    /// The differences between trackers and the storages that they refused, one line each.
    pub(super) fn disagreements(&self) -> impl Iterator<Item = String> {
        let differ = |text: &String| format!("trackers differ: {text}");
        let refused = |text: &String| format!("refused: {text}");
        let differences = self.differences.iter().map(differ);
        differences.chain(self.refused.iter().map(refused))
    }

    /// The problems of idservers and status ports, one line each.
    pub(super) fn troubles(&self) -> Vec<String> {
        let pages = self.status_ports.iter();
        let pages = pages.filter(|page| page.state != "ok");
        let idservers = self.idservers.iter().filter_map(Idserver::trouble);
        idservers.chain(pages.map(StatusPage::text)).collect()
    }

    /// The problems of trackers: no answer, no database, or a warning of their own.
    pub(super) fn errors(&self) -> Vec<String> {
        let error = |answer: &Answer| {
            let address = &answer.address;
            let database = answer.tracker.as_ref().map(|t| t.database_error.as_str());
            match (&answer.error, database) {
                (Some(error), _) => Some(format!("tracker {address} does not answer: {error}")),
                (None, Some(text)) if !text.is_empty() => {
                    Some(format!("tracker {address} has no database: {text}"))
                }
                _ => None,
            }
        };
        let warnings = |answer: &Answer| {
            let warnings = answer.tracker.iter().flat_map(|t| t.warnings.clone());
            let address = answer.address.clone();
            let lines = warnings.map(move |text| format!("tracker {address}: {text}"));
            lines.collect::<Vec<_>>()
        };
        let errors = self.trackers.iter().filter_map(error);
        errors
            .chain(self.trackers.iter().flat_map(warnings))
            .collect()
    }
}

fn merge(clusters: &[(&Address, &Cluster)]) -> Vec<Group> {
    let mut merged: BTreeMap<&str, Group> = BTreeMap::new();
    for group in clusters.iter().flat_map(|(_, cluster)| &cluster.groups) {
        let into = merged.entry(&group.name).or_insert_with(|| Group {
            name: group.name.clone(),
            ..Group::default()
        });
        into.open |= group.open;
        into.unregistered |= group.unregistered;
        for storage in &group.storages {
            let same = |known: &&mut Storage| known.address == storage.address;
            match into.storages.iter_mut().find(same) {
                Some(known) if rank(known) >= rank(storage) => {}
                Some(known) => *known = storage.clone(),
                None => into.storages.push(storage.clone()),
            }
        }
    }
    merged.into_values().collect()
}

/// The rank of an entry of a storage: one that lives before one that a tracker lost, then the fuller.
fn rank(storage: &Storage) -> (bool, (bool, bool, i64)) {
    (is_active(storage), fullness(storage))
}

/// How much an entry tells. A C++ tracker's has neither report nor node id, and times without a
/// zone: only among equals the later beat counts.
pub(crate) fn fullness(storage: &Storage) -> (bool, bool, i64) {
    let Storage { report, node, .. } = storage;
    (report.is_some(), !node.is_empty(), storage.beat_time)
}

fn differences(clusters: &[(&Address, &Cluster)], groups: &[Group]) -> Vec<String> {
    let mut lines = Vec::new();
    for group in groups {
        let at = |cluster: &&Cluster| -> Option<Group> {
            let mut groups = cluster.groups.iter();
            groups.find(|other| other.name == group.name).cloned()
        };
        let open = |cluster: &Cluster| match at(&cluster) {
            Some(group) if group.open => "open".to_owned(),
            _ => "closed".to_owned(),
        };
        lines.extend(difference(clusters, &group.name, open));
        for storage in &group.storages {
            let status = |cluster: &Cluster| {
                let storages = at(&cluster).map(|group| group.storages).unwrap_or_default();
                let mut found = storages.into_iter();
                let found = found.find(|other| other.address == storage.address);
                found.map_or("unknown".to_owned(), |found| found.status)
            };
            let name = format!("{} {}", group.name, storage.address);
            lines.extend(difference(clusters, &name, status));
        }
    }
    lines
}

fn difference(
    clusters: &[(&Address, &Cluster)],
    name: &str,
    say: impl Fn(&Cluster) -> String,
) -> Option<String> {
    let said: Vec<(&Address, String)> = clusters
        .iter()
        .map(|(address, cluster)| (*address, say(cluster)))
        .collect();
    if said.windows(2).all(|pair| pair[0].1 == pair[1].1) {
        return None;
    }
    let said = said
        .iter()
        .map(|(address, what)| format!("{what} at {address}"));
    Some(format!("{name} is {}", said.collect::<Vec<_>>().join(", ")))
}
