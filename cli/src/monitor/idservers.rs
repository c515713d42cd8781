//! The idservers as the storages find them. Pure.

use std::collections::BTreeMap;

use proto::cluster::Group;
use serde::Serialize;

use super::storage_state;

/// One idserver.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Idserver {
    /// As the storages' configurations have it.
    pub(super) address: String,
    /// Number of living storages that ask it.
    pub(super) asked_by: usize,
    /// The storages that get no numbers from it.
    pub(super) failing: Vec<Failing>,
}

/// A storage that gets no numbers.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Failing {
    /// Its address.
    pub(super) storage: String,
    /// The reason that the storage reports.
    pub(super) why: String,
}

/// Collects what the living storages report of idservers, by address.
pub(super) fn of(groups: &[Group]) -> Vec<Idserver> {
    let mut found: BTreeMap<&str, Idserver> = BTreeMap::new();
    let storages = groups.iter().flat_map(|group| &group.storages);
    for storage in storages.filter(|storage| storage_state::is_active(storage)) {
        for told in storage.report.iter().flat_map(|report| &report.idservers) {
            let idserver = found.entry(&told.address).or_insert_with(|| Idserver {
                address: told.address.clone(),
                ..Idserver::default()
            });
            idserver.asked_by += 1;
            if !told.why.is_empty() {
                idserver.failing.push(Failing {
                    storage: storage.address.clone(),
                    why: told.why.clone(),
                });
            }
        }
    }
    found.into_values().collect()
}

impl Idserver {
    /// The problem, as one line.
    pub(super) fn trouble(&self) -> Option<String> {
        let Failing { storage, why } = self.failing.first()?;
        let address = &self.address;
        let whom = match self.failing.len() {
            n if n == self.asked_by => String::new(),
            1 => format!(" to {storage}"),
            n => format!(" to {storage} and {} more", n - 1),
        };
        Some(format!("idserver {address} gives no numbers{whom}: {why}"))
    }

    /// The state, as one line.
    pub(super) fn text(&self) -> String {
        let well = self.asked_by - self.failing.len();
        self.trouble().unwrap_or_else(|| {
            format!(
                "idserver {} gives numbers to {well} of {} storages",
                self.address, self.asked_by
            )
        })
    }
}
