//! A thread that asks the trackers periodically, so that the status port knows without waiting
//! whether they answer.

use std::sync::Arc;
use std::time::Duration;

use base::{Stop, Ticker};
use client::Error;
use daemon::metrics::Page;
use daemon::status::Health;
use parking_lot::Mutex;
use proto::Address;
use serde_json::{Value, json};

use crate::globals::CurrentGlobals;

/// Time between two checks.
const INTERVAL: Duration = Duration::from_secs(5);

/// The trackers as of the latest check. Empty before the first one.
#[derive(Clone, Default)]
pub(crate) struct TrackerMonitor(Arc<Mutex<Vec<TrackerState>>>);

struct TrackerState {
    tracker: Address,
    /// Why it did not answer. None if it did.
    failure: Option<String>,
}

impl TrackerMonitor {
    /// Starts the thread. The first check is at once; a stop ends the thread.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(crate) fn start(&self, globals: &CurrentGlobals, stop: &Stop) -> std::io::Result<Ticker> {
        let (trackers, globals, stop) = (self.clone(), globals.clone(), stop.clone());
        let until = stop.clone();
        Ticker::start("trackers", INTERVAL, stop, move || {
            trackers.check(&globals, &until);
        })
    }

    fn check(&self, globals: &CurrentGlobals, stop: &Stop) {
        let globals = globals.get();
        let mut states = Vec::new();
        for tracker in &globals.trackers {
            if stop.is_tripped() {
                return;
            }
            let failure = globals.client.ping_tracker(tracker).err();
            states.push(TrackerState {
                tracker: tracker.clone(),
                failure: failure.as_ref().map(Error::chain),
            });
        }
        *self.0.lock() = states;
    }

    /// Failing if no tracker answers, degraded if some do not.
    pub(crate) fn health(&self, health: &mut Health) {
        let trackers = self.0.lock();
        if !trackers.is_empty() && trackers.iter().all(|state| state.failure.is_some()) {
            health.fail("no tracker can be reached");
        }
        for TrackerState { tracker, failure } in &*trackers {
            if let Some(failure) = failure {
                health.degrade(format!("tracker {tracker}: {failure}"));
            }
        }
    }

    pub(crate) fn measure(&self, page: &mut Page) {
        let help = "Whether a tracker answered when it was last asked.";
        let mut family = page.gauge("tnv_tracker_reachable", help);
        for TrackerState { tracker, failure } in &*self.0.lock() {
            let is = f64::from(u8::from(failure.is_none()));
            family = family.sample(&[("tracker", tracker.as_str())], is);
        }
    }

    pub(crate) fn describe(&self) -> Value {
        let trackers = self.0.lock();
        let each = trackers.iter().map(|TrackerState { tracker, failure }| {
            let state = json!({ "reachable": failure.is_none(), "why": failure });
            (tracker.to_string(), state)
        });
        each.collect()
    }
}
