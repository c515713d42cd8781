//! Numbers for the paths of new files, from the idservers. They are had some at a time: a small
//! upload would else spend half its time on the way to an idserver.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::Arc;

use base::LogThrottle;
use client::{Error, IdClient};
use log::warn;
use parking_lot::{Mutex, RwLock};
use proto::report::Idserver;
use proto::{Address, ErrorCode, Fault, IdKey};

/// Asked for at once. What is left when the storage stops is skipped.
const BATCH: u16 = 100;

pub(crate) struct Numbers {
    /// Whom to ask; a reload changes it.
    ids: RwLock<Arc<IdClient>>,
    /// One for each store path.
    stocks: Mutex<HashMap<IdKey, Arc<Stock>>>,
    /// The key that was asked for last and why no idserver gave numbers, unless one did.
    failed: Mutex<Option<(IdKey, String)>>,
    /// The idservers as they were found when they were last probed.
    found: Mutex<Vec<Idserver>>,
    /// Those that did not answer the last probe in time.
    late: Mutex<HashSet<String>>,
    /// Bounds the log lines: each upload may cause one while no idserver answers.
    log: LogThrottle<()>,
}

/// Numbers of one key at hand.
#[derive(Default)]
struct Stock {
    state: Mutex<State>,
    /// Locked while an idserver is asked, so that many who find no number ask once.
    asking: Mutex<()>,
}

#[derive(Default)]
struct State {
    numbers: Range<u64>,
    n_failed: u64,
}

impl Numbers {
    pub(crate) fn new(ids: IdClient) -> Numbers {
        Numbers {
            ids: RwLock::new(Arc::new(ids)),
            stocks: Mutex::default(),
            failed: Mutex::default(),
            found: Mutex::default(),
            late: Mutex::default(),
            log: LogThrottle::default(),
        }
    }

    /// Asks others from now on.
    pub(crate) fn change(&self, ids: IdClient) {
        *self.ids.write() = Arc::new(ids);
    }

    /// The next number of a store path, which no other file ever had.
    ///
    /// # Errors
    /// Unavailable, when no idserver answers. Those who waited together are refused together: one
    /// after the other they would wait for the same idservers.
    pub(crate) fn next(&self, key: &IdKey) -> Result<u64, Fault> {
        let stock = self.stock(key);
        let n_failed = match stock.take() {
            Ok(number) => return Ok(number),
            Err(n_failed) => n_failed,
        };
        let _alone = stock.asking.lock();
        match stock.take() {
            Ok(number) => return Ok(number),
            Err(now) if now != n_failed => return Err(unavailable()),
            Err(_) => {}
        }
        let asked = self.ask(key);
        let mut state = stock.state.lock();
        match asked {
            Ok(Range { start, end }) => {
                state.numbers = start + 1..end;
                Ok(start)
            }
            Err(e) => {
                state.n_failed += 1;
                if let Some(more) = self.log.due(()) {
                    warn!("no number for {key}: {e}{more}");
                }
                Err(unavailable())
            }
        }
    }

    /// Why no idserver gave numbers when they were last asked or probed, unless one did.
    pub(crate) fn trouble(&self) -> Option<String> {
        let failed = self.failed.lock();
        let failed = failed.as_ref().map(|(_, why)| why.clone());
        failed.or_else(|| {
            let found = self.found.lock();
            let first = found.first().map(|idserver| idserver.why.clone());
            first.filter(|_| found.iter().all(|idserver| !idserver.why.is_empty()))
        })
    }

    /// Why an upload to a store path with one of these keys gets no number, as far as is known: no
    /// idserver gave any, and none is left.
    pub(crate) fn lack<'a>(&self, keys: impl IntoIterator<Item = &'a IdKey>) -> Option<String> {
        let trouble = self.trouble()?;
        let stocks = self.stocks.lock();
        let has_none = |key| {
            let stock: Option<&Arc<Stock>> = stocks.get(key);
            stock.is_none_or(|stock| stock.state.lock().numbers.is_empty())
        };
        keys.into_iter().all(has_none).then_some(trouble)
    }

    /// The idservers as they were found when they were last probed.
    pub(crate) fn idservers(&self) -> Vec<Idserver> {
        self.found.lock().clone()
    }

    /// Finds out which idservers would give numbers: perhaps no upload comes that needs one.
    pub(crate) fn probe(&self) {
        let ids = Arc::clone(&self.ids.read());
        let probe = |address: &Address| {
            let (probed, address) = (ids.probe(address), address.to_string());
            let why = self.why(&address, probed);
            Idserver { address, why }
        };
        let found = ids.addresses().iter().map(probe).collect();
        *self.found.lock() = found;
    }

    /// Why an idserver would give no numbers; empty if it would. One that is late for the first time
    /// is as it was before: on a loaded machine every server is late now and then.
    fn why(&self, address: &str, probed: Result<(), Error>) -> String {
        let mut late = self.late.lock();
        match probed {
            Err(e) if is_late(&e) && late.insert(address.to_owned()) => {
                let found = self.found.lock();
                let before = found.iter().find(|idserver| idserver.address == address);
                before.map_or_else(String::new, |before| before.why.clone())
            }
            Err(e) => {
                if !is_late(&e) {
                    late.remove(address);
                }
                format!("{:#}", anyhow::Error::from(e))
            }
            Ok(()) => {
                late.remove(address);
                String::new()
            }
        }
    }

    /// Asks again if the last time failed: perhaps no upload comes that would.
    pub(crate) fn retry(&self) {
        let Some((key, _)) = self.failed.lock().clone() else {
            return;
        };
        let stock = self.stock(&key);
        let _alone = stock.asking.lock();
        if let Ok(numbers) = self.ask(&key) {
            stock.state.lock().numbers = numbers;
        }
    }

    fn stock(&self, key: &IdKey) -> Arc<Stock> {
        Arc::clone(self.stocks.lock().entry(key.clone()).or_default())
    }

    fn ask(&self, key: &IdKey) -> Result<Range<u64>, String> {
        let ids = Arc::clone(&self.ids.read());
        let asked = ids.next_ids(key, BATCH);
        let asked = asked.map_err(|e| format!("{:#}", anyhow::Error::from(e)));
        *self.failed.lock() = asked.as_ref().err().map(|e| (key.clone(), e.clone()));
        asked
    }
}

impl Stock {
    /// A number; with none left, how often asking has failed.
    fn take(&self) -> Result<u64, u64> {
        let mut state = self.state.lock();
        let n_failed = state.n_failed;
        state.numbers.next().ok_or(n_failed)
    }
}

/// Whether a server did not answer in time.
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
