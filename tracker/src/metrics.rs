//! What a tracker counts and tells monitoring.

use std::sync::Arc;

use daemon::metrics::{CacheMetrics, Metrics, Page};
use daemon::status::{Health, Subject, measure_database};
use proto::tracker::TrackerRequest;
use serde_json::{Value, json};

use crate::globals::Globals;
use crate::groups::Count;

pub(crate) struct TrackerMetrics {
    pub(crate) frame: Arc<Metrics>,
    /// The groups of users.
    pub(crate) bindings: CacheMetrics,
}

impl Default for TrackerMetrics {
    fn default() -> TrackerMetrics {
        let frame = Metrics::of_wire::<TrackerRequest>();
        TrackerMetrics {
            bindings: frame.cache("bindings"),
            frame: Arc::new(frame),
        }
    }
}

/// What the status port shows.
pub(crate) struct Shown(pub(crate) Arc<Globals>);

impl Subject for Shown {
    fn health(&self, health: &mut Health) {
        health.needs_database(self.0.routes.availability());
    }

    fn measure(&self, page: &mut Page) {
        measure_database(page, &self.0.routes.availability());
        let counts = self.0.groups.lock().counts();
        let help = "Storages by group and state.";
        let mut members = page.gauge("tnv_tracker_members", help);
        for (group, count) in &counts {
            for (state, number) in by_state(count) {
                let labels = [("group", group.as_str()), ("state", state)];
                members = members.sample(&labels, number as f64);
            }
        }
        let help = "Most storages that are remembered, see members_max.";
        page.gauge("tnv_tracker_members_max", help)
            .sample(&[], self.0.groups.lock().members_max() as f64);
        let help = "Users whose group is remembered.";
        page.gauge("tnv_tracker_bindings", help)
            .sample(&[], self.0.bindings.len() as f64);
    }

    fn describe(&self) -> Value {
        let counts = self.0.groups.lock().counts();
        let groups = counts.iter().map(|(group, count)| {
            let states: Value = by_state(count)
                .map(|(state, number)| (state.to_owned(), Value::from(number)))
                .into_iter()
                .collect();
            (group.to_string(), states)
        });
        json!({
            "groups": groups.collect::<Value>(),
            "bindings_cache": self.0.metrics.bindings.describe(),
        })
    }
}

fn by_state(count: &Count) -> [(&'static str, usize); 3] {
    let online = count.members - count.active - count.offline;
    [
        ("active", count.active),
        ("online", online),
        ("offline", count.offline),
    ]
}
