//! Attacks from another host that need no key.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bench::Content;
use proto::tracker::TrackerRequest;
use proto::{ErrorCode, Fault};
use test_cluster::{Node, Role};
use test_peers::wire::{connect, exchange, result_of};

use crate::commands::{self, join, member};
use crate::guarded::{Guarded, WIRE, kind};
use crate::other_host::OtherHost;
use crate::support::new_key;

/// How often each command is sent.
const REPEATS: u64 = 5;
/// Reasons for a refusal that a log line may have.
const REASONS: u64 = 3;
/// Fake storages in a group.
const FAKES: u16 = 30;
/// Operations of the client during an attack.
const OPERATIONS: u64 = 50;

fn refusal(stream: &mut TcpStream, frame: &[u8]) -> Fault {
    result_of(&exchange(stream, frame)).unwrap_err()
}

/// Sends each command of the server several times; the refusal names these settings.
fn try_all(guarded: &Guarded, host: &OtherHost, role: Role, settings: &[&str]) {
    let node = guarded.node(role);
    let address = SocketAddr::new(host.here.into(), node.addr.port());
    let began = Instant::now();
    let requests = commands::all(kind(role), &guarded.stored);
    host.run(|| {
        for (name, frame) in &requests {
            let mut stream = connect(address);
            for _ in 0..REPEATS {
                let fault = refusal(&mut stream, frame);
                assert_eq!(fault.code, ErrorCode::Forbidden, "{name}: {fault}");
                for setting in settings {
                    assert!(fault.message.contains(setting), "{name}: {fault}");
                }
            }
        }
        for frame in commands::proof(kind(role), address) {
            let fault = refusal(&mut connect(address), &frame);
            assert_eq!(fault.code, ErrorCode::Forbidden, "{fault}");
        }
    });
    assert_told(guarded, host, &node, began.elapsed());
    let of_proof = kind(role).proof_commands().map(|(_, name)| (name, 1));
    let sent = requests.iter().map(|(name, _)| (*name, REPEATS));
    for (name, count) in sent.chain(of_proof) {
        let sample = format!("tnv_requests_total{{command=\"{name}\",outcome=\"forbidden\"}}");
        assert_eq!(guarded.sample(&node, &sample), count, "{sample}");
    }
}

/// The log has the refusals of the other host, at most once per second and reason.
fn assert_told(guarded: &Guarded, host: &OtherHost, node: &Node, during: Duration) {
    let lines = guarded.refusals(node, &format!("{}:", host.there));
    let most = REASONS * (during.as_secs() + 2);
    println!("{}: {lines:#?}", node.name);
    assert!((1..=most).contains(&(lines.len() as u64)), "{lines:#?}");
}

fn refuses_strangers(mut guarded: Guarded, settings: &[&str]) {
    let host = OtherHost::new();
    for role in WIRE {
        try_all(&guarded, &host, role, settings);
    }
    guarded.assert_unharmed();
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out namespaces"
)]
fn the_settings_of_the_package_refuse_every_command_of_another_host() {
    refuses_strangers(
        Guarded::with_key(""),
        &["cluster_key_file", "key_file", "legacy_hosts"],
    );
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out namespaces"
)]
fn without_settings_every_command_of_another_host_is_refused() {
    refuses_strangers(
        Guarded::without_settings(),
        &["cluster_key_file", "allow_hosts"],
    );
}

/// Fake storages on another host, which join and beat until the client has done its operations.
struct Fakes {
    tracker: SocketAddr,
    over: AtomicBool,
    refused: AtomicU64,
}

impl Fakes {
    /// Listens like storages. Returns the number of connections that came.
    fn attack(&self) -> usize {
        let listeners = (0..FAKES).map(|_| TcpListener::bind("0.0.0.0:0").unwrap());
        let listeners: Vec<_> = listeners.collect();
        for listener in &listeners {
            listener.set_nonblocking(true).unwrap();
        }
        while !self.over.load(Ordering::Relaxed) {
            for listener in &listeners {
                self.join(listener.local_addr().unwrap().port());
            }
        }
        let came = listeners
            .iter()
            .filter(|listener| listener.accept().is_ok());
        came.count()
    }

    fn join(&self, port: u16) {
        let mut stream = connect(self.tracker);
        for request in [join(port), TrackerRequest::Beat(member())] {
            let fault = refusal(&mut stream, &request.encode());
            assert_eq!(fault.code, ErrorCode::Forbidden, "{fault}");
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Longest of the number of operations and this time, in seconds, from the environment.
fn attack_time() -> Duration {
    let seconds = std::env::var("TNV_TEST_SECONDS").ok();
    Duration::from_secs(seconds.map_or(0, |seconds| seconds.parse().unwrap()))
}

/// Uploads files and downloads them again.
fn operate(guarded: &Guarded, until: Instant) -> u64 {
    let client = guarded.client();
    let mut done = 0;
    while done < OPERATIONS || Instant::now() < until {
        let content = Content::new(done, 3000 + done);
        let key = new_key();
        client
            .upload(&key, &mut content.clone(), content.size(), &mut |_| ())
            .unwrap();
        content
            .compare(&mut client.download(&key).unwrap())
            .unwrap();
        done += 1;
    }
    done
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out namespaces"
)]
fn fake_storages_without_a_key_get_no_client() {
    let host = OtherHost::new();
    let allowed = format!("allow_hosts = [\"127.0.0.1\", \"{}\"]\n", host.there);
    let mut guarded = Guarded::with_key(&allowed);
    let port = guarded.node(Role::Tracker).addr.port();
    let fakes = Fakes {
        tracker: SocketAddr::new(host.here.into(), port),
        over: AtomicBool::new(false),
        refused: AtomicU64::new(0),
    };
    let (done, came) = thread::scope(|scope| {
        let attack = scope.spawn(|| host.run(|| fakes.attack()));
        let until = Instant::now() + attack_time();
        let operated = scope
            .spawn({
                let guarded = &guarded;
                move || operate(guarded, until)
            })
            .join();
        fakes.over.store(true, Ordering::Relaxed);
        (operated.unwrap(), attack.join().unwrap())
    });
    let refused = fakes.refused.into_inner();
    println!("{done} uploads and downloads, {refused} requests of fake storages refused");
    assert!(refused >= u64::from(FAKES), "{refused}");
    assert_eq!(came, 0, "clients connected to fake storages");
    guarded.assert_unharmed();
}
