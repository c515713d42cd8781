//! How this storage stands with each tracker, for monitoring: written at every beat, by the
//! threads of the membership only.

use std::collections::BTreeMap;

use daemon::metrics::Page;
use daemon::status::Health;
use parking_lot::Mutex;
use proto::Address;
use serde_json::{Value, json};

use crate::clock::epoch_secs;

/// The trackers of the configuration, by address.
#[derive(Default)]
pub(crate) struct Ties(Mutex<BTreeMap<String, Standing>>);

#[derive(Default)]
struct Standing {
    /// Seconds since the epoch.
    last_beat: Option<i64>,
    /// What broke it last, unless it holds.
    broken: Option<String>,
}

impl Ties {
    /// It is to be joined, and is not yet.
    pub(crate) fn add(&self, tracker: &Address) {
        self.broke(tracker, "not joined yet".to_owned());
    }

    pub(crate) fn remove(&self, tracker: &Address) {
        self.0.lock().remove(&tracker.to_string());
    }

    /// It took a beat.
    pub(crate) fn beat(&self, tracker: &Address) {
        let mut ties = self.0.lock();
        *ties.entry(tracker.to_string()).or_default() = Standing {
            last_beat: Some(epoch_secs()),
            broken: None,
        };
    }

    /// It is away, or does not take this storage.
    pub(crate) fn broke(&self, tracker: &Address, why: String) {
        let mut ties = self.0.lock();
        ties.entry(tracker.to_string()).or_default().broken = Some(why);
    }

    /// Other trackers stand in for one; without any no client finds this storage.
    pub(crate) fn health(&self, health: &mut Health) {
        let ties = self.0.lock();
        if !ties.is_empty() && ties.values().all(|tie| tie.broken.is_some()) {
            health.fail("joined at no tracker");
        }
        for (tracker, tie) in &*ties {
            if let Some(why) = &tie.broken {
                health.degrade(format!("tracker {tracker}: {why}"));
            }
        }
    }

    pub(crate) fn measure(&self, page: &mut Page) {
        let ties = self.0.lock();
        let help = "Whether this storage is joined at a tracker.";
        let mut family = page.gauge("tnv_tracker_joined", help);
        for (tracker, tie) in &*ties {
            let is = f64::from(u8::from(tie.broken.is_none()));
            family = family.sample(&[("tracker", tracker)], is);
        }
        let help = "When a tracker last took a beat, seconds since the epoch.";
        let mut family = page.gauge("tnv_tracker_last_beat_timestamp_seconds", help);
        for (tracker, tie) in &*ties {
            if let Some(at) = tie.last_beat {
                family = family.sample(&[("tracker", tracker)], at as f64);
            }
        }
    }

    pub(crate) fn describe(&self) -> Value {
        let ties = self.0.lock();
        let each = ties.iter().map(|(tracker, tie)| {
            let standing = json!({
                "joined": tie.broken.is_none(),
                "last_beat": tie.last_beat,
                "why": tie.broken,
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
        let ties = Ties::default();
        let [one, two] = ["10.0.0.1:1", "10.0.0.2:1"].map(|text| text.parse().unwrap());
        let state = || {
            let mut health = Health::default();
            ties.health(&mut health);
            health.state()
        };
        assert_eq!(state(), "ok");
        ties.add(&one);
        ties.add(&two);
        assert_eq!(state(), "failing");
        ties.beat(&one);
        assert_eq!(state(), "degraded");
        ties.beat(&two);
        assert_eq!(state(), "ok");
        ties.broke(&one, "refused".to_owned());
        let told = ties.describe();
        assert_eq!(told["10.0.0.1:1"]["why"], "refused");
        assert!(told["10.0.0.1:1"]["last_beat"].as_i64() > Some(0));
        ties.remove(&one);
        assert_eq!(state(), "ok");
    }
}
