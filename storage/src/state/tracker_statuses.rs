//! The state of the membership at each tracker, for monitoring. The tracker threads write it at
//! every beat.

use std::collections::BTreeMap;

use daemon::metrics::Page;
use daemon::status::Health;
use parking_lot::Mutex;
use proto::Address;
use serde_json::{Value, json};

use crate::clock::epoch_secs;

/// The configured trackers, by address.
#[derive(Default)]
pub(crate) struct TrackerStatuses(Mutex<BTreeMap<String, TrackerStatus>>);

#[derive(Default)]
struct TrackerStatus {
    /// Seconds since the epoch.
    last_beat: Option<i64>,
    /// Why this storage is not joined; none while it is.
    broken: Option<String>,
}

impl TrackerStatuses {
    /// Adds a tracker that is not joined yet.
    pub(crate) fn add(&self, tracker: &Address) {
        self.set_broken(tracker, "not joined yet".to_owned());
    }

    pub(crate) fn remove(&self, tracker: &Address) {
        self.0.lock().remove(&tracker.to_string());
    }

    /// Notes a beat that the tracker accepted.
    pub(crate) fn set_joined(&self, tracker: &Address) {
        let mut statuses = self.0.lock();
        *statuses.entry(tracker.to_string()).or_default() = TrackerStatus {
            last_beat: Some(epoch_secs()),
            broken: None,
        };
    }

    /// Notes why the tracker is away or refuses this storage.
    pub(crate) fn set_broken(&self, tracker: &Address, why: String) {
        let mut statuses = self.0.lock();
        statuses.entry(tracker.to_string()).or_default().broken = Some(why);
    }

    /// Degraded without one of several trackers, failing without all: then no client finds this
    /// storage.
    pub(crate) fn health(&self, health: &mut Health) {
        let statuses = self.0.lock();
        if !statuses.is_empty() && statuses.values().all(|status| status.broken.is_some()) {
            health.fail("joined at no tracker");
        }
        for (tracker, status) in &*statuses {
            if let Some(why) = &status.broken {
                health.degrade(format!("tracker {tracker}: {why}"));
            }
        }
    }

    pub(crate) fn measure(&self, page: &mut Page) {
        let statuses = self.0.lock();
        let help = "Whether this storage is joined at a tracker.";
        let mut family = page.gauge("tnv_tracker_joined", help);
        for (tracker, status) in &*statuses {
            let is = f64::from(u8::from(status.broken.is_none()));
            family = family.sample(&[("tracker", tracker)], is);
        }
        let help = "When a tracker last took a beat, seconds since the epoch.";
        let mut family = page.gauge("tnv_tracker_last_beat_timestamp_seconds", help);
        for (tracker, status) in &*statuses {
            if let Some(at) = status.last_beat {
                family = family.sample(&[("tracker", tracker)], at as f64);
            }
        }
    }

    pub(crate) fn describe(&self) -> Value {
        let statuses = self.0.lock();
        let each = statuses.iter().map(|(tracker, status)| {
            let standing = json!({
                "joined": status.broken.is_none(),
                "last_beat": status.last_beat,
                "why": status.broken,
            });
            (tracker.clone(), standing)
        });
        each.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tracker_stands_in_for_another_and_none_for_all() {
        let statuses = TrackerStatuses::default();
        let [one, two] = ["10.0.0.1:1", "10.0.0.2:1"].map(|text| text.parse().unwrap());
        let state = || {
            let mut health = Health::default();
            statuses.health(&mut health);
            health.state()
        };
        assert_eq!(state(), "ok");
        statuses.add(&one);
        statuses.add(&two);
        assert_eq!(state(), "failing");
        statuses.set_joined(&one);
        assert_eq!(state(), "degraded");
        statuses.set_joined(&two);
        assert_eq!(state(), "ok");
        statuses.set_broken(&one, "refused".to_owned());
        let told = statuses.describe();
        assert_eq!(told["10.0.0.1:1"]["why"], "refused");
        assert!(told["10.0.0.1:1"]["last_beat"].as_i64() > Some(0));
        statuses.remove(&one);
        assert_eq!(state(), "ok");
    }
}
