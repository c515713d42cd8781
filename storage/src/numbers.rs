//! Numbers for the paths of new files, from the idservers. They are fetched in batches: a small
//! upload would spend half its time with an idserver otherwise.

mod batch;

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::LogThrottle;
use client::{Error, IdClient};
use log::warn;
use parking_lot::{Mutex, RwLock};
use proto::report::Idserver;
use proto::{Address, ErrorCode, Fault, IdKey};

use batch::Batch;

/// A refusal comes sooner: a longer wait means that an idserver did not answer.
const LONG_WAIT: Duration = Duration::from_secs(1);

pub(crate) struct Numbers {
    /// The idservers; a reload changes them.
    client: RwLock<Arc<IdClient>>,
    /// One key for each store path.
    keys: Mutex<HashMap<IdKey, Arc<KeyNumbers>>>,
    /// The latest key that got no numbers, and why; none after a success.
    failed: Mutex<Option<(IdKey, String)>>,
    /// The results of the latest probes.
    probed: Mutex<Vec<Idserver>>,
    /// Idservers that missed the time-out of the latest probe.
    late_once: Mutex<HashSet<String>>,
    /// Bounds the log lines: each upload may cause one while no idserver answers.
    log: LogThrottle<()>,
}

/// Why a store path takes no file.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The reply to the client.
    pub(crate) fault: Fault,
    /// True after a long wait for idservers: another store path would wait for them again.
    pub(crate) has_waited: bool,
}

/// The numbers of one key.
#[derive(Default)]
struct KeyNumbers {
    state: Mutex<State>,
    /// Held while an idserver is asked, so that concurrent uploads ask once.
    refill: Mutex<()>,
}

#[derive(Default)]
struct State {
    batch: Batch,
    n_failures: u64,
}

impl Numbers {
    pub(crate) fn new(client: IdClient) -> Numbers {
        Numbers {
            client: RwLock::new(Arc::new(client)),
            keys: Mutex::default(),
            failed: Mutex::default(),
            probed: Mutex::default(),
            late_once: Mutex::default(),
            log: LogThrottle::default(),
        }
    }

    /// Replaces the idservers.
    pub(crate) fn set_client(&self, client: IdClient) {
        *self.client.write() = Arc::new(client);
    }

    /// The next number of a store path; no other file ever has it. With none left, idservers are
    /// asked if the caller `may_ask`.
    ///
    /// # Errors
    /// Unavailable, when no idserver answers. Uploads that waited for the same request are refused
    /// together, or each would wait for the same idservers.
    pub(crate) fn next(&self, key: &IdKey, may_ask: bool) -> Result<u64, Refusal> {
        let began = Instant::now();
        self.take(key, may_ask).map_err(|fault| Refusal {
            fault,
            has_waited: began.elapsed() >= LONG_WAIT,
        })
    }

    fn take(&self, key: &IdKey, may_ask: bool) -> Result<u64, Fault> {
        let numbers = self.numbers_of(key);
        let n_failures = match numbers.take() {
            Ok(number) => return Ok(number),
            Err(_) if !may_ask => return Err(unavailable()),
            Err(n_failures) => n_failures,
        };
        let _alone = numbers.refill.lock();
        match numbers.take() {
            Ok(number) => return Ok(number),
            Err(now) if now != n_failures => return Err(unavailable()),
            Err(_) => {}
        }
        let asked = self.ask(key, &numbers);
        let mut state = numbers.state.lock();
        match asked {
            Ok(batch) => {
                state.batch = batch;
                state.batch.next().ok_or_else(unavailable)
            }
            Err(e) => {
                state.n_failures += 1;
                if let Some(more) = self.log.due(()) {
                    warn!("no number for {key}: {e}{more}");
                }
                Err(unavailable())
            }
        }
    }

    /// Why the latest request or all latest probes failed; none after a success.
    pub(crate) fn last_error(&self) -> Option<String> {
        let failed = self.failed.lock();
        let failed = failed.as_ref().map(|(_, why)| why.clone());
        failed.or_else(|| {
            let probed = self.probed.lock();
            let first = probed.first().map(|idserver| idserver.why.clone());
            first.filter(|_| probed.iter().all(|idserver| !idserver.why.is_empty()))
        })
    }

    /// Why uploads to store paths with these keys get no number: idservers fail and none is left.
    pub(crate) fn shortage<'a>(&self, keys: impl IntoIterator<Item = &'a IdKey>) -> Option<String> {
        let last_error = self.last_error()?;
        let by_key = self.keys.lock();
        let has_none = |key| {
            let numbers: Option<&Arc<KeyNumbers>> = by_key.get(key);
            numbers.is_none_or(|numbers| numbers.state.lock().batch.is_empty())
        };
        keys.into_iter().all(has_none).then_some(last_error)
    }

    /// The results of the latest probes.
    pub(crate) fn idservers(&self) -> Vec<Idserver> {
        self.probed.lock().clone()
    }

    /// Probes all idservers, as no upload may need a number for long.
    pub(crate) fn probe(&self) {
        let client = Arc::clone(&self.client.read());
        let probe = |address: &Address| {
            let (probed, address) = (client.probe(address), address.to_string());
            let why = self.why(&address, probed);
            Idserver { address, why }
        };
        let probed = client.addresses().iter().map(probe).collect();
        *self.probed.lock() = probed;
    }

    /// The reason of a failed probe; empty after a success. A first time-out keeps the previous
    /// result: on a loaded machine every server is late now and then.
    fn why(&self, address: &str, probed: Result<(), Error>) -> String {
        let mut late_once = self.late_once.lock();
        match probed {
            Err(e) if is_late(&e) && late_once.insert(address.to_owned()) => {
                let probed = self.probed.lock();
                let before = probed.iter().find(|idserver| idserver.address == address);
                before.map_or_else(String::new, |before| before.why.clone())
            }
            Err(e) => {
                if !is_late(&e) {
                    late_once.remove(address);
                }
                format!("{:#}", anyhow::Error::from(e))
            }
            Ok(()) => {
                late_once.remove(address);
                String::new()
            }
        }
    }

    /// Asks again after a failure, as no upload may do so.
    pub(crate) fn retry(&self) {
        let Some((key, _)) = self.failed.lock().clone() else {
            return;
        };
        let numbers = self.numbers_of(&key);
        let _alone = numbers.refill.lock();
        if let Ok(batch) = self.ask(&key, &numbers) {
            numbers.state.lock().batch = batch;
        }
    }

    fn numbers_of(&self, key: &IdKey) -> Arc<KeyNumbers> {
        Arc::clone(self.keys.lock().entry(key.clone()).or_default())
    }

    /// Asks an idserver for the next batch of a key.
    fn ask(&self, key: &IdKey, numbers: &KeyNumbers) -> Result<Batch, String> {
        let client = Arc::clone(&self.client.read());
        let count = numbers.state.lock().batch.next_size(Instant::now());
        let asked = client.next_ids(key, count);
        let asked = asked.map_err(|e| format!("{:#}", anyhow::Error::from(e)));
        *self.failed.lock() = asked.as_ref().err().map(|e| (key.clone(), e.clone()));
        asked.map(|range| Batch::new(range, Instant::now()))
    }
}

impl KeyNumbers {
    /// Takes a number; without any, returns the count of failures.
    fn take(&self) -> Result<u64, u64> {
        let mut state = self.state.lock();
        let n_failures = state.n_failures;
        state.batch.next().ok_or(n_failures)
    }
}

/// True for time-outs.
fn is_late(error: &Error) -> bool {
    match error {
        Error::Timeout { .. } => true,
        Error::Connect { source, .. } => source.kind() == ErrorKind::TimedOut,
        _ => false,
    }
}

fn unavailable() -> Fault {
    Fault::new(ErrorCode::Unavailable, "no idserver gives a number")
}

#[cfg(test)]
mod tests;
