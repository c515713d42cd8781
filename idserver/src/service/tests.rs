use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use db::Availability;
use parking_lot::Mutex;

use super::*;
use crate::config::Config;
use crate::db::Ids;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

const PATIENCE: Duration = Duration::from_secs(20);

/// One counter for all keys. Fails while it is `away`, or holds fewer than are wanted; a step of a
/// key "slow…" tells `begun` and waits for `go_on`.
struct ToyIds {
    next: AtomicU64,
    away: AtomicBool,
    left: AtomicU64,
    rows: Mutex<BTreeSet<IdKey>>,
    begun: Sender<()>,
    go_on: Receiver<()>,
}

impl Ids for Arc<ToyIds> {
    fn reserve(&self, key: &IdKey, step: u32) -> Result<Option<Range<u64>>, DbError> {
        if key.as_str().starts_with("slow") {
            self.begun.send(()).unwrap();
            self.go_on.recv_timeout(PATIENCE).unwrap();
        }
        if self.away.load(Ordering::SeqCst) {
            return Err(DbError::UnknownOutcome { source: None });
        }
        let left = self.left.load(Ordering::SeqCst);
        let Some(left) = left.checked_sub(step.into()) else {
            return Ok(None);
        };
        self.left.store(left, Ordering::SeqCst);
        self.rows.lock().insert(key.clone());
        let first = self.next.fetch_add(step.into(), Ordering::SeqCst);
        Ok(Some(first..first + u64::from(step)))
    }

    fn has(&self, key: &IdKey) -> Result<bool, DbError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(DbError::UnknownOutcome { source: None });
        }
        Ok(self.rows.lock().contains(key))
    }

    fn count(&self, max: u32) -> Result<u32, DbError> {
        Ok(max.min(self.rows.lock().len() as u32))
    }

    fn availability(&self) -> Availability {
        let is_away = self.away.load(Ordering::SeqCst);
        let away = || Err(DbError::UnknownOutcome { source: None });
        Availability::of_both(if is_away { away() } else { Ok(()) })
    }

    fn close(&self) {}
}

struct Setting {
    service: IdService,
    ids: Arc<ToyIds>,
    begun: Receiver<()>,
    go_on: Sender<()>,
}

fn setting(step: u32) -> Setting {
    let (begun, begins) = bounded(8);
    let (go_on, goes_on) = bounded(8);
    let ids = Arc::new(ToyIds {
        next: AtomicU64::new(0),
        away: AtomicBool::new(false),
        left: AtomicU64::new(u64::MAX),
        rows: Mutex::default(),
        begun,
        go_on: goes_on,
    });
    let config = Config {
        step,
        step_max: 64,
        new_keys_per_address: 50,
        ..Config::default()
    };
    let globals = Globals::new(config, Box::new(Arc::clone(&ids)));
    Setting {
        service: IdService::new(Arc::new(globals)),
        ids,
        begun: begins,
        go_on,
    }
}

fn key(text: &str) -> IdKey {
    text.parse().unwrap()
}

#[test]
fn a_database_that_fails_loses_nothing_and_recovers() {
    let Setting { service, ids, .. } = setting(2);
    let get = || service.get_id(PEER, &key("k"));
    assert_eq!((get(), get()), (Ok(0), Ok(1)));
    ids.away.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(get().unwrap_err().code, ErrorCode::Unavailable);
    }
    ids.away.store(false, Ordering::SeqCst);
    assert_eq!((get(), get(), get()), (Ok(2), Ok(3), Ok(4)));
}

#[test]
fn what_is_reserved_is_handed_out_while_the_database_is_away() {
    let Setting { service, ids, .. } = setting(3);
    let get = || service.get_id(PEER, &key("k"));
    assert_eq!(get(), Ok(0));
    ids.away.store(true, Ordering::SeqCst);
    assert_eq!((get(), get()), (Ok(1), Ok(2)));
    assert_eq!(get().unwrap_err().code, ErrorCode::Unavailable);
}

#[test]
fn a_key_that_the_database_cannot_hold_is_no_outage() {
    let source = Arc::new(std::io::Error::other("1366"));
    assert_eq!(
        db_fault(DbError::Unfit { source }).code,
        ErrorCode::BadRequest
    );
    let unknown = DbError::UnknownOutcome { source: None };
    assert_eq!(db_fault(unknown).code, ErrorCode::Unavailable);
}

#[test]
fn used_up_numbers_are_told_as_such() {
    let Setting { service, ids, .. } = setting(1);
    ids.left.store(0, Ordering::SeqCst);
    let fault = service.get_id(PEER, &key("../data")).unwrap_err();
    assert_eq!(fault.code, ErrorCode::Unavailable);
    assert_eq!(fault.message, "the numbers of key ../data are used up");
}

#[test]
fn a_key_in_demand_counts_on_and_to_the_last_number() {
    let Setting { service, ids, .. } = setting(1);
    ids.left.store(1000, Ordering::SeqCst);
    for n in 0..1000 {
        assert_eq!(service.get_id(PEER, &key("k")), Ok(n));
    }
    let fault = service.get_id(PEER, &key("k")).unwrap_err();
    assert_eq!(fault.message, "the numbers of key k are used up");
    // How often depends on how fast this was; no number was reserved that was not handed out.
    assert_eq!(ids.next.load(Ordering::SeqCst), 1000);
}

#[test]
fn a_slow_step_of_one_key_does_not_delay_another() {
    let Setting {
        service,
        begun,
        go_on,
        ..
    } = setting(1);
    thread::scope(|scope| {
        let slow = scope.spawn(|| service.get_id(PEER, &key("slow")));
        begun.recv_timeout(PATIENCE).unwrap();
        for n in 0..10 {
            assert_eq!(service.get_id(PEER, &key("other")), Ok(n));
        }
        assert!(!slow.is_finished());
        go_on.send(()).unwrap();
        assert_eq!(slow.join().unwrap(), Ok(10));
    });
}

#[test]
fn a_herd_on_one_key_makes_one_step() {
    let Setting {
        service,
        ids,
        begun,
        go_on,
    } = setting(100);
    let mut numbers: Vec<u64> = thread::scope(|scope| {
        // So many as may wait for long.
        let herd: Vec<_> = (0..5)
            .map(|_| scope.spawn(|| service.get_id(PEER, &key("slow")).unwrap()))
            .collect();
        begun.recv_timeout(PATIENCE).unwrap();
        go_on.send(()).unwrap();
        herd.into_iter().map(|one| one.join().unwrap()).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (0..5).collect::<Vec<_>>());
    assert_eq!(ids.next.load(Ordering::SeqCst), 100);
}

#[test]
fn numbers_in_memory_are_behind_no_step_however_many_want_one() {
    let Setting {
        service,
        begun,
        go_on,
        ..
    } = setting(1000);
    let workers = Config::default().server.workers;
    assert_eq!(service.get_id(PEER, &key("warm")), Ok(0));
    thread::scope(|scope| {
        let slow = (0..workers / 2).map(|n| {
            let service = &service;
            scope.spawn(move || service.get_id(PEER, &key(&format!("slow{n}"))))
        });
        let slow: Vec<_> = slow.collect();
        for _ in &slow {
            begun.recv_timeout(PATIENCE).unwrap();
        }
        // As if they had been at it for long: nobody else waits.
        service.gate.age(PATIENCE);
        for n in 0..workers {
            let fault = service.get_id(PEER, &key(&format!("cold{n}"))).unwrap_err();
            assert_eq!(fault.code, ErrorCode::Unavailable);
        }
        assert_eq!(service.get_id(PEER, &key("warm")), Ok(1));
        slow.iter().for_each(|_| go_on.send(()).unwrap());
        for one in slow {
            one.join().unwrap().unwrap();
        }
    });
    assert!(service.get_id(PEER, &key("cold0")).is_ok());
}

#[test]
fn a_herd_on_a_slow_step_leaves_workers_for_the_others() {
    let Setting {
        service,
        begun,
        go_on,
        ..
    } = setting(1000);
    let workers = Config::default().server.workers;
    let (refused, refusals) = bounded(workers as usize);
    thread::scope(|scope| {
        for _ in 0..workers {
            let (service, refused) = (&service, refused.clone());
            scope.spawn(move || {
                if let Err(fault) = service.get_id(PEER, &key("slow")) {
                    refused.send(fault).unwrap();
                }
            });
        }
        begun.recv_timeout(PATIENCE).unwrap();
        // One makes the step and a quarter waits for it.
        for _ in 0..workers - 1 - workers / 4 {
            let fault = refusals.recv_timeout(PATIENCE).unwrap();
            assert_eq!(fault.message, "the database takes too long");
        }
        assert_eq!(service.get_id(PEER, &key("other")), Ok(0));
        go_on.send(()).unwrap();
    });
}

#[test]
fn one_address_makes_so_many_keys_and_known_ones_are_served_all_the_same() {
    let Setting { service, ids, .. } = setting(1);
    ids.rows.lock().insert(key("known"));
    for n in 0..50 {
        service.get_id(PEER, &key(&format!("new{n}"))).unwrap();
    }
    let keys = &service.globals.keys;
    assert_eq!(keys.settled_len(), 50);
    for n in 50..200 {
        let fault = service.get_id(PEER, &key(&format!("new{n}"))).unwrap_err();
        assert_eq!(fault.code, ErrorCode::Busy);
        let told = "too many new keys from 127.0.0.1 within an hour, see new_keys_per_address";
        assert_eq!(fault.message, told);
    }
    // What was refused stays nowhere.
    assert_eq!((keys.settled_len(), ids.rows.lock().len()), (50, 51));
    assert_eq!(service.globals.metrics.refused_keys.get(), 150);
    for served in ["known", "new0"] {
        service.get_id(PEER, &key(served)).unwrap();
    }
    let other = [10, 0, 0, 1].into();
    service.get_id(other, &key("new50")).unwrap();
}

#[test]
fn rows_are_made_up_to_a_limit_which_a_reload_raises() {
    let Setting { service, ids, .. } = setting(1);
    let globals = &service.globals;
    let limited = |rows_max| {
        globals.reload(&Config {
            rows_max,
            ..globals.config.clone()
        });
    };
    ids.rows.lock().insert(key("known"));
    limited(2);
    service.get_id(PEER, &key("a")).unwrap();
    let fault = service.get_id(PEER, &key("b")).unwrap_err();
    assert_eq!(fault.code, ErrorCode::Busy);
    let told = "no row for key b: there are 2 keys, see rows_max";
    assert_eq!(fault.message, told);
    service.get_id(PEER, &key("known")).unwrap();
    limited(4);
    service.get_id(PEER, &key("b")).unwrap();
    assert_eq!(globals.metrics.refused_keys.get(), 1);
}

#[test]
fn a_key_that_no_database_answers_for_takes_no_memory() {
    let Setting { service, ids, .. } = setting(1);
    ids.away.store(true, Ordering::SeqCst);
    service.get_id(PEER, &key("a")).unwrap_err();
    assert_eq!(service.globals.keys.settled_len(), 0);
    assert_eq!(service.globals.metrics.failed_steps.get(), 1);
}
