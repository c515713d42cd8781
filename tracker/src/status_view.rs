//! The status pages of a tracker.

use std::collections::BTreeMap;
use std::sync::Arc;

use daemon::metrics::Page;
use daemon::status::{Health, StatusSource, measure_database};
use proto::GroupName;
use serde_json::{Value, json};

use crate::globals::Globals;
use crate::groups::MemberCounts;

/// Most unreachable storages in `/status`.
const UNREACHABLE_MAX: usize = 100;

pub(crate) struct StatusView(pub(crate) Arc<Globals>);

impl StatusSource for StatusView {
    fn health(&self, health: &mut Health) {
        health.needs_database(self.0.routes.availability().full());
        if let Some(why) = self.0.foreign_database() {
            health.degrade(format!("users without a group are refused: {why}"));
        }
    }

    fn measure(&self, page: &mut Page) {
        let database = self.0.routes.availability();
        measure_database(page, database.full().is_ok(), database.reads.is_ok());
        let counts = self.counts();
        let help = "Storages by group and state.";
        let mut members = page.gauge("tnv_tracker_members", help);
        for (group, count) in &counts {
            for (state, number) in by_state(count) {
                let labels = [("group", group.as_str()), ("state", state)];
                members = members.sample(&labels, number as f64);
            }
        }
        measure_service(page, &counts);
        let help = "Storages that are refused: they tried to join within the last minute.";
        let refused = self.0.rejected_joins.lock().list(self.0.now().epoch).len();
        page.gauge("tnv_tracker_refused_storages", help)
            .sample(&[], refused as f64);
        let help = "Whether the database is another one than the storages know: 1 then.";
        let is_foreign = self.0.foreign_database().is_some();
        page.gauge("tnv_tracker_foreign_database", help)
            .sample(&[], f64::from(u8::from(is_foreign)));
        let help = "Most storages that are remembered, see members_max.";
        page.gauge("tnv_tracker_members_max", help)
            .sample(&[], self.0.groups.lock().members_max() as f64);
        let help = "Users whose group is remembered.";
        page.gauge("tnv_tracker_bindings", help)
            .sample(&[], self.0.bindings.len() as f64);
    }

    fn describe(&self) -> Value {
        let counts = self.counts();
        let groups = counts.iter().map(|(group, count)| {
            let states: Value = by_state(count)
                .map(|(state, number)| (state.to_owned(), Value::from(number)))
                .into_iter()
                .collect();
            (group.to_string(), states)
        });
        let unreachable = self.0.groups.lock().unreachable_reasons(UNREACHABLE_MAX);
        let unreachable = unreachable
            .into_iter()
            .map(|(addr, why)| json!({"address": addr.to_string(), "reason": why}));
        let unreachable: Vec<Value> = unreachable.collect();
        json!({
            "groups": groups.collect::<Value>(),
            "unreachable": unreachable,
            "bindings_cache": self.0.metrics.bindings.describe(),
        })
    }
}

impl StatusView {
    /// The storages of each group, also of open groups without any.
    fn counts(&self) -> BTreeMap<GroupName, MemberCounts> {
        let mut counts = self.0.groups.lock().counts();
        let directory = self.0.directory.lock();
        for group in &directory.groups {
            counts.entry(group.clone()).or_default();
        }
        counts
    }
}

/// Adds what clients get of the active storages of each group.
fn measure_service(page: &mut Page, counts: &BTreeMap<GroupName, MemberCounts>) {
    let mut measure = |name, help, number: fn(&MemberCounts) -> usize| {
        let mut family = page.gauge(name, help);
        for (group, count) in counts {
            family = family.sample(&[("group", group.as_str())], number(count) as f64);
        }
    };
    let help = "Active storages by group that clients are sent to.";
    measure("tnv_tracker_offered_members", help, |count| count.offered);
    let help = "Active storages by group that this tracker cannot connect to.";
    measure("tnv_tracker_unreachable_members", help, |count| {
        count.unreachable
    });
    let help = "Active storages by group that an administrator took out of service.";
    measure("tnv_tracker_drained_members", help, |count| count.drained);
}

fn by_state(count: &MemberCounts) -> [(&'static str, usize); 3] {
    let online = count.members - count.active - count.offline;
    [
        ("active", count.active),
        ("online", online),
        ("offline", count.offline),
    ]
}
