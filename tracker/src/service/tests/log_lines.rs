//! The lines that a peer can cause in a loop stay few: each test causes more than the burst of each
//! kind, on its own thread, and counts the lines of that thread.

use std::cell::RefCell;
use std::net::TcpListener;
use std::sync::Once;
use std::time::{Duration, Instant};

use log::{LevelFilter, Log, Metadata, Record};

use super::*;
use crate::log_lines::BURST;
use crate::{probes, status};

/// Events of each kind: five times as many as there may be lines at once.
const N_EVENTS: u16 = 500;

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what this thread logs.
struct PerThread;

impl Log for PerThread {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = record.args().to_string();
        LINES.with(|lines| lines.borrow_mut().push(line));
    }

    fn flush(&self) {}
}

/// From now on until [`Recording::check`].
struct Recording(Instant);

impl Recording {
    fn start() -> Recording {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            log::set_logger(&PerThread).unwrap();
            log::set_max_level(LevelFilter::Info);
        });
        LINES.take();
        Recording(Instant::now())
    }

    /// The lines with `part` in them are the burst, and one for each second that has passed.
    fn check(&self, part: &str) {
        let n_lines = LINES.with(|lines| {
            let lines = lines.borrow();
            lines.iter().filter(|line| line.contains(part)).count()
        });
        let most = u64::from(BURST) + self.0.elapsed().as_secs() + 1;
        let most = usize::try_from(most).unwrap();
        assert!(
            most < usize::from(N_EVENTS),
            "the machine is too slow to tell"
        );
        assert!(
            (BURST as usize..=most).contains(&n_lines),
            "{part}: {n_lines} lines"
        );
    }
}

#[test]
fn joining_and_leaving_in_a_loop_writes_few_lines() {
    let setting = Setting::new();
    let recording = Recording::start();
    for _ in 0..N_EVENTS {
        let mut connection = setting.active("g9", "10.0.0.1", 1);
        connection.leave("g9", "h").unwrap();
    }
    let known = [
        "join: g9/h",
        "is active",
        "leave: g9/h",
        "is not in the database",
    ];
    known.into_iter().for_each(|part| recording.check(part));
}

#[test]
fn moving_and_being_refused_in_a_loop_writes_few_lines() {
    let setting = Setting::new();
    let hello = || {
        TrackerRequest::Hello(Box::new(Hello {
            node: "aa".parse().unwrap(),
            advertise: None,
            address: None,
            local: None,
            remembers: true,
            cluster: None,
        }))
    };
    let join = |ip: &str, port| {
        let mut connection = setting.connect(ip);
        connection.call(hello()).unwrap();
        connection.join("g1", "h", port)
    };
    let recording = Recording::start();
    for port in 1..=N_EVENTS {
        join("10.0.0.1", port).unwrap();
        // Somebody else with this node id.
        join("10.0.0.2", port).unwrap_err();
    }
    recording.check("was at 10.0.0.1");
    recording.check("join is refused");
}

#[test]
fn reporting_in_a_loop_writes_few_lines() {
    let setting = Setting::new();
    let mut storage = setting.active("g1", "10.0.0.1", 1);
    let recording = Recording::start();
    for n in 0..N_EVENTS {
        let report = Report {
            uploads: n % 2 == 1,
            ..Report::default()
        };
        let report = TrackerRequest::Report(member("g1", "h"), Box::new(report));
        storage.call(report).unwrap();
    }
    recording.check("uploads");
}

#[test]
fn members_that_fall_silent_together_write_few_lines() {
    let setting = Setting::new();
    let globals = &setting.service.globals;
    for n in 0..N_EVENTS {
        let ip = format!("10.0.{}.{}", n / 250, n % 250 + 1);
        setting.connect(&ip).join("g1", "h", 1).unwrap();
    }
    let mut config = globals.config.clone();
    config.check_interval = Period::from_millis(1);
    globals.groups.lock().limit(config.member_limits());
    let recording = Recording::start();
    let deadline = Instant::now() + Duration::from_secs(60);
    while setting
        .connect("10.0.0.1")
        .list()
        .iter()
        .any(|(_, state)| state != "OFFLINE")
    {
        assert!(Instant::now() < deadline, "they do not fall silent");
        status::check_members(globals);
    }
    recording.check("is offline");
}

#[test]
fn members_that_cannot_be_connected_to_write_few_lines() {
    let setting = Setting::new();
    let globals = &setting.service.globals;
    // The port is free again when the tries begin, and nobody listens at that address.
    let listener = TcpListener::bind("127.0.0.9:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let recording = Recording::start();
    for n in 0..N_EVENTS {
        let ip = format!("10.0.{}.{}", n / 250, n % 250 + 1);
        let mut connection = setting.connect(&ip);
        connection.join("g1", "h", 1).unwrap();
        let handle = connection.session.handle.unwrap();
        // Once may be chance.
        probes::probe(globals, &handle, addr);
        probes::probe(globals, &handle, addr);
    }
    recording.check("cannot be connected to");
}
