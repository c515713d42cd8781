//! Whether the trackers answer: asked now and then, so that a look at the status port need not wait
//! for them.

use std::sync::Arc;
use std::time::Duration;

use base::{Stop, Ticker};
use client::Error;
use daemon::metrics::Page;
use daemon::status::Health;
use parking_lot::Mutex;
use proto::Address;
use serde_json::{Value, json};

use crate::globals::Current;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(5);

/// The trackers as they were when they were last asked. None before the first look.
#[derive(Clone, Default)]
pub(crate) struct Trackers(Arc<Mutex<Vec<Seen>>>);

/// A tracker, and why it did not answer if it did not.
struct Seen {
    tracker: Address,
    why: Option<String>,
}

impl Trackers {
    /// Begins to ask them, each at once and then again and again until the stop.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub(crate) fn watch(&self, globals: &Current, stop: &Stop) -> std::io::Result<Ticker> {
        let (trackers, globals, stop) = (self.clone(), globals.clone(), stop.clone());
        let until = stop.clone();
        Ticker::start("trackers", INTERVAL, stop, move || {
            trackers.look(&globals, &until);
        })
    }

    fn look(&self, globals: &Current, stop: &Stop) {
        let globals = globals.look();
        let mut seen = Vec::new();
        for tracker in &globals.trackers {
            if stop.is_tripped() {
                return;
            }
            let failure = globals.client.ping_tracker(tracker).err();
            seen.push(Seen {
                tracker: tracker.clone(),
                why: failure.as_ref().map(Error::chain),
            });
        }
        *self.0.lock() = seen;
    }

    /// One stands in for another; without any no file is found.
    pub(crate) fn health(&self, health: &mut Health) {
        let trackers = self.0.lock();
        if !trackers.is_empty() && trackers.iter().all(|seen| seen.why.is_some()) {
            health.fail("no tracker can be reached");
        }
        for Seen { tracker, why } in &*trackers {
            if let Some(why) = why {
                health.degrade(format!("tracker {tracker}: {why}"));
            }
        }
    }

    pub(crate) fn measure(&self, page: &mut Page) {
        let help = "Whether a tracker answered when it was last asked.";
        let mut family = page.gauge("tnv_tracker_reachable", help);
        for Seen { tracker, why } in &*self.0.lock() {
            let is = f64::from(u8::from(why.is_none()));
            family = family.sample(&[("tracker", tracker.as_str())], is);
        }
    }

    pub(crate) fn describe(&self) -> Value {
        let trackers = self.0.lock();
        let each = trackers.iter().map(|Seen { tracker, why }| {
            let standing = json!({ "reachable": why.is_none(), "why": why });
            (tracker.to_string(), standing)
        });
        each.collect()
    }
}
