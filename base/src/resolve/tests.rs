use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

/// A resolver of its own, with this in place of the system.
fn resolver(lookup: Lookup) -> &'static Resolver {
    Box::leak(Box::new(Resolver::new(lookup)))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(50)
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn hang(_: &str) -> io::Result<Vec<SocketAddr>> {
    loop {
        std::thread::park();
    }
}

#[test]
fn numeric_addresses_need_no_lookup() {
    let resolver = resolver(|name| panic!("{name} is looked up"));
    for text in ["127.0.0.1:21000", "[::1]:21000"] {
        assert!(is_numeric(text));
        let addrs = resolver.resolve(text, Instant::now()).unwrap();
        assert_eq!(addrs, [text.parse().unwrap()]);
    }
    assert!(!is_numeric("localhost:21000"));
}

#[test]
fn names_are_looked_up_by_the_system() {
    let addrs = resolve("localhost:21000", later()).unwrap();
    assert!(
        addrs
            .iter()
            .all(|addr| addr.ip().is_loopback() && addr.port() == 21000)
    );
    assert!(!addrs.is_empty());
}

#[test]
fn what_the_system_says_is_passed_on() {
    let resolver = resolver(|_| Err(io::Error::new(io::ErrorKind::NotFound, "no such name")));
    let error = resolver.resolve("nowhere:1", later()).unwrap_err();
    assert_eq!(error.to_string(), "no such name");
    assert!(resolver.running.lock().is_empty());
}

#[test]
fn a_silent_name_server_is_waited_for_until_the_deadline() {
    let resolver = resolver(hang);
    let error = resolver.resolve("slow:1", soon()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn lookups_in_progress_are_bounded() {
    static N_LOOKUPS: AtomicUsize = AtomicUsize::new(0);
    let resolver = resolver(|name| {
        N_LOOKUPS.fetch_add(1, Ordering::SeqCst);
        hang(name)
    });
    for n in 0..LOOKUPS_MAX + 4 {
        let error = resolver.resolve(&format!("slow{n}:1"), soon()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
    // A name that is being looked up takes no further thread.
    resolver.resolve("slow0:1", soon()).unwrap_err();
    assert_eq!(resolver.running.lock().len(), LOOKUPS_MAX);
    assert!(N_LOOKUPS.load(Ordering::SeqCst) <= LOOKUPS_MAX);
}

#[test]
fn who_waits_for_room_gets_it_when_a_lookup_ends() {
    static ENDED: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    let resolver = resolver(|name| {
        let mut ended = ENDED.0.lock();
        while name != "last:1" && !*ended {
            ENDED.1.wait(&mut ended);
        }
        Ok(vec!["127.0.0.1:1".parse().unwrap()])
    });
    for n in 0..LOOKUPS_MAX {
        resolver.resolve(&format!("slow{n}:1"), soon()).unwrap_err();
    }
    let waiting = std::thread::spawn(move || resolver.resolve("last:1", later()));
    *ENDED.0.lock() = true;
    ENDED.1.notify_all();
    assert_eq!(waiting.join().unwrap().unwrap().len(), 1);
}

#[test]
fn an_address_with_a_zone_is_read_without_the_resolver() {
    let found = resolve("[fe80::1%lo]:7", Instant::now()).unwrap();
    assert!(matches!(found[..], [SocketAddr::V6(addr)] if addr.scope_id() > 0 && addr.port() == 7));
    assert!(is_numeric("[fe80::1%lo]:7") && is_numeric("[::1]:7") && !is_numeric("a:7"));
    assert!(resolve("[fe80::1%nonesuch]:7", Instant::now()).is_err());
}
