use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use db::{Availability, DbError};
use parking_lot::Mutex;
use proto::ErrorCode;

use super::*;
use crate::config::{Config, Settings};
use crate::db::Ids;
use crate::filler::Filler;
use crate::wait_limit::WAIT_MAX;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

const PATIENCE: Duration = Duration::from_secs(20);

/// One counter for all keys. It fails while it is `away`, or holds fewer than are wanted. A reservation of
/// a key "slow…" sends to `begun` and waits for `go_on`; one of a key "panic…" panics.
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
        assert!(!key.as_str().starts_with("panic"), "on purpose");
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
    filler: Filler,
}

impl Setting {
    fn get(&self, name: &str) -> Result<u64, Fault> {
        self.service.get_id(PEER, &key(name))
    }
}

fn setting(step: u32) -> Setting {
    setting_with_keys(step, 50)
}

fn setting_with_keys(step: u32, new_keys_per_address: u32) -> Setting {
    let (begun, begins) = unbounded();
    let (go_on, goes_on) = unbounded();
    let ids = Arc::new(ToyIds {
        next: AtomicU64::new(0),
        away: AtomicBool::new(false),
        left: AtomicU64::new(u64::MAX),
        rows: Mutex::default(),
        begun,
        go_on: goes_on,
    });
    let config = Config::of(Settings {
        step,
        step_max: 64,
        new_keys_per_address,
        ..Settings::default()
    });
    let globals = Arc::new(Globals::new(config, Box::new(Arc::clone(&ids))));
    let (filler, queue) = Filler::start(&globals).unwrap();
    Setting {
        filler,
        service: IdService::new(globals, queue),
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
    let setting = setting(1);
    let get = || setting.get("k");
    assert_eq!((get(), get()), (Ok(0), Ok(1)));
    setting.ids.away.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(get().unwrap_err().code, ErrorCode::Unavailable);
    }
    setting.ids.away.store(false, Ordering::SeqCst);
    assert_eq!((get(), get(), get()), (Ok(2), Ok(3), Ok(4)));
}

#[test]
fn what_is_reserved_is_handed_out_while_the_database_is_away() {
    let setting = setting(3);
    let get = || setting.get("k");
    assert_eq!(get(), Ok(0));
    setting.ids.away.store(true, Ordering::SeqCst);
    assert_eq!((get(), get()), (Ok(1), Ok(2)));
    assert_eq!(get().unwrap_err().code, ErrorCode::Unavailable);
}

#[test]
fn a_probe_fails_while_the_database_does_though_numbers_are_left() {
    let setting = setting(10);
    assert_eq!(setting.get("k"), Ok(0));
    assert_eq!(setting.service.probe(), Ok(Vec::new()));
    setting.ids.away.store(true, Ordering::SeqCst);
    assert_eq!(setting.get("k"), Ok(1));
    assert_eq!(
        setting.service.probe().unwrap_err().code,
        ErrorCode::Unavailable
    );
}

#[test]
fn numbers_are_handed_out_while_the_next_range_is_reserved() {
    let setting = setting(10);
    setting.go_on.send(()).unwrap();
    for number in 0..5 {
        assert_eq!(setting.get("slow"), Ok(number));
    }
    setting.begun.recv_timeout(PATIENCE).unwrap();
    assert!(setting.begun.is_empty());
    assert_eq!(setting.get("slow"), Ok(5));
    setting.begun.recv_timeout(PATIENCE).unwrap();
    for number in 6..10 {
        assert_eq!(setting.get("slow"), Ok(number));
    }
    setting.go_on.send(()).unwrap();
    for number in 10..15 {
        assert_eq!(setting.get("slow"), Ok(number));
    }
    assert!(setting.begun.is_empty());
}

#[test]
fn a_refill_that_stands_still_holds_nobody_beyond_the_deadline() {
    let setting = setting(10);
    let start = std::time::Instant::now();
    let fault = setting.get("slow").unwrap_err();
    assert_eq!(fault.message, "the database takes too long");
    assert!((WAIT_MAX..PATIENCE).contains(&start.elapsed()));
    // The refill goes on, and its numbers are there for the next request.
    setting.go_on.send(()).unwrap();
    assert_eq!(setting.get("slow"), Ok(0));
}

#[test]
fn a_panic_in_the_database_fails_the_request_and_the_filler_goes_on() {
    let setting = setting(1);
    for _ in 0..20 {
        let fault = setting.get("panic").unwrap_err();
        assert_eq!(fault.code, ErrorCode::Unavailable);
    }
    assert_eq!(setting.get("k"), Ok(0));
}

#[test]
fn a_stop_ends_the_filler() {
    let setting = setting(1);
    assert_eq!(setting.get("k"), Ok(0));
    let globals = Arc::downgrade(&setting.service.globals);
    drop(setting.service);
    setting.filler.shutdown();
    // Each of its threads held a reference.
    assert!(globals.upgrade().is_none());
}

#[test]
fn used_up_numbers_are_told_as_such() {
    let setting = setting(1);
    setting.ids.left.store(0, Ordering::SeqCst);
    let fault = setting.get("../data").unwrap_err();
    assert_eq!(fault.code, ErrorCode::Unavailable);
    assert_eq!(fault.message, "the numbers of key ../data are used up");
}

#[test]
fn a_key_in_demand_counts_on_and_to_the_last_number() {
    let setting = setting(1);
    setting.ids.left.store(1000, Ordering::SeqCst);
    for n in 0..1000 {
        assert_eq!(setting.get("k"), Ok(n));
    }
    let fault = setting.get("k").unwrap_err();
    assert_eq!(fault.message, "the numbers of key k are used up");
    // The sizes depend on the speed of this test; no number was reserved that was not handed out.
    assert_eq!(setting.ids.next.load(Ordering::SeqCst), 1000);
}

#[test]
fn a_slow_step_of_one_key_does_not_delay_another() {
    let setting = setting(1);
    thread::scope(|scope| {
        let slow = scope.spawn(|| setting.get("slow"));
        setting.begun.recv_timeout(PATIENCE).unwrap();
        for n in 0..10 {
            assert_eq!(setting.get("other"), Ok(n));
        }
        assert!(!slow.is_finished());
        setting.go_on.send(()).unwrap();
        assert_eq!(slow.join().unwrap(), Ok(10));
    });
}

#[test]
fn a_herd_on_one_key_makes_one_step() {
    let setting = setting(100);
    let mut numbers: Vec<u64> = thread::scope(|scope| {
        // Fewer than may wait for a slow database.
        let herd: Vec<_> = (0..5)
            .map(|_| scope.spawn(|| setting.get("slow").unwrap()))
            .collect();
        setting.begun.recv_timeout(PATIENCE).unwrap();
        setting.go_on.send(()).unwrap();
        herd.into_iter().map(|one| one.join().unwrap()).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (0..5).collect::<Vec<_>>());
    assert_eq!(setting.ids.next.load(Ordering::SeqCst), 100);
}

#[test]
fn numbers_in_memory_are_behind_no_step_however_many_want_one() {
    let workers = Config::default().server.workers;
    // The limit on new keys must refuse none of these requests.
    let setting = setting_with_keys(1000, 4 * workers);
    let limit = &setting.service.globals.wait_limit;
    assert_eq!(setting.get("warm"), Ok(0));
    thread::scope(|scope| {
        let slow = (0..workers / 2).map(|n| {
            let setting = &setting;
            scope.spawn(move || setting.get(&format!("slow{n}")))
        });
        let slow: Vec<_> = slow.collect();
        setting.begun.recv_timeout(PATIENCE).unwrap();
        let is_full = || limit.n_waiting() >= workers / 2;
        test_support::until("half of the workers wait", || {
            is_full() || slow.iter().any(|one| one.is_finished())
        });
        limit.age(PATIENCE);
        for n in 0..workers {
            if is_full() {
                let fault = setting.get(&format!("cold{n}")).map(drop);
                assert!(fault.is_err() || !is_full());
            }
        }
        assert_eq!(setting.get("warm"), Ok(1));
        slow.iter().for_each(|_| setting.go_on.send(()).unwrap());
    });
    setting.get("cold0").unwrap();
}

#[test]
fn a_herd_on_a_slow_step_leaves_workers_for_the_others() {
    let setting = setting(1000);
    let workers = Config::default().server.workers;
    let (refused, refusals) = bounded(workers as usize);
    thread::scope(|scope| {
        for _ in 0..workers {
            let (setting, refused) = (&setting, refused.clone());
            scope.spawn(move || {
                if let Err(fault) = setting.get("slow") {
                    refused.send(fault).unwrap();
                }
            });
        }
        setting.begun.recv_timeout(PATIENCE).unwrap();
        // Half of them wait.
        for _ in 0..workers - workers / 2 {
            let fault = refusals.recv_timeout(PATIENCE).unwrap();
            assert_eq!(fault.message, "the database takes too long");
        }
        assert_eq!(setting.get("other"), Ok(0));
        setting.go_on.send(()).unwrap();
    });
}

#[test]
fn one_address_makes_so_many_keys_and_known_ones_are_served_all_the_same() {
    let setting = setting(1);
    let Setting { service, ids, .. } = &setting;
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
    // A refused key leaves no entry.
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
    let setting = setting(1);
    let Setting { service, ids, .. } = &setting;
    let globals = &service.globals;
    let limited = |rows_max| {
        let mut config = globals.config.clone();
        config.rows_max = rows_max;
        globals.reload(&config);
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
    let setting = setting(1);
    let Setting { service, ids, .. } = &setting;
    ids.away.store(true, Ordering::SeqCst);
    service.get_id(PEER, &key("a")).unwrap_err();
    assert_eq!(service.globals.keys.settled_len(), 0);
    assert_eq!(service.globals.metrics.failed_steps.get(), 1);
}
