//! Limits on connections and on the file descriptors of connections and requests. A stop waits here
//! until no connection is open.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::full::Full;
use super::observer::{NetGauge, Observer};
use crate::peer_host::one_host;

/// The host that connections are counted by, see [`one_host`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Client(IpAddr);

impl Client {
    pub(crate) fn of(peer: SocketAddr) -> Client {
        Client(one_host(peer.ip()))
    }

    fn is_loopback(self) -> bool {
        self.0.is_loopback()
    }
}

/// Limits of one server.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    /// Connections of one client.
    pub(crate) per_client: usize,
    /// Connections from the loopback address, where a proxy may run.
    pub(crate) loopback: usize,
    /// File descriptors of connections and their requests.
    pub(crate) descriptors: usize,
    /// A new connection with this descriptor number or a higher one has to evict another: the kernel
    /// assigns the lowest free number.
    pub(crate) last_descriptors: usize,
}

impl Limits {
    fn of(&self, client: Client) -> usize {
        if client.is_loopback() {
            self.loopback
        } else {
            self.per_client
        }
    }
}

pub(crate) struct ConnectionLimit {
    open: Mutex<Open>,
    changed: Condvar,
    /// Descriptors in use by connections and their requests.
    descriptors: AtomicUsize,
    descriptors_max: AtomicUsize,
    /// Counts open connections.
    observer: Arc<dyn Observer>,
}

#[derive(Default)]
struct Open {
    limits: Limits,
    now: usize,
    most: usize,
    /// Evicted connections that are not closed yet.
    leaving: usize,
    clients: HashMap<Client, usize>,
    /// Clients in order of their number of connections.
    ranking: BTreeSet<(usize, Client)>,
}

/// The number of connections of a server; outlives the server.
#[derive(Clone)]
pub struct Connections(pub(crate) Arc<ConnectionLimit>);

impl Connections {
    /// Open connections.
    pub fn now(&self) -> usize {
        self.0.open.lock().now
    }

    /// The most connections that were open at a time.
    pub fn most(&self) -> usize {
        self.0.open.lock().most
    }

    /// The limit.
    pub fn max(&self) -> usize {
        self.0.open.lock().limits.connections
    }
}

/// One open connection; dropping the permit releases it.
pub(crate) struct Permit {
    limit: Arc<ConnectionLimit>,
    client: Client,
    /// Descriptors of its request, besides the connection's own.
    held: usize,
    is_leaving: bool,
}

impl ConnectionLimit {
    /// Refuses all connections until [`ConnectionLimit::set`].
    pub(crate) fn new(observer: Arc<dyn Observer>) -> ConnectionLimit {
        ConnectionLimit {
            open: Mutex::default(),
            changed: Condvar::new(),
            descriptors: AtomicUsize::new(0),
            descriptors_max: AtomicUsize::new(0),
            observer,
        }
    }

    pub(crate) fn set(&self, limits: Limits) {
        let max = limits.descriptors;
        self.descriptors_max.store(max, Ordering::Relaxed);
        self.open.lock().limits = limits;
    }

    /// True if a new connection has one of the last descriptors of the process.
    pub(crate) fn is_last(&self, stream: &TcpStream) -> bool {
        let number = usize::try_from(stream.as_raw_fd()).unwrap_or(usize::MAX);
        number >= self.open.lock().limits.last_descriptors
    }

    /// Admits a connection below the limits. A proxy has no limit per client.
    pub(crate) fn enter(self: &Arc<Self>, client: Client, is_proxy: bool) -> Result<Permit, Full> {
        let mut open = self.open.lock();
        if !is_proxy && open.count_of(client) >= open.limits.of(client) {
            return Err(Full::Client);
        }
        if open.now >= open.limits.connections || !self.take_descriptors(1) {
            return Err(Full::Server);
        }
        open.add(client);
        self.observer.changed(NetGauge::Open, 1);
        Ok(Permit {
            limit: Arc::clone(self),
            client,
            held: 0,
            is_leaving: false,
        })
    }

    /// The client with the most connections, and the number of them.
    pub(crate) fn largest(&self) -> Option<(usize, Client)> {
        self.open.lock().ranking.last().copied()
    }

    pub(crate) fn connections_max(&self) -> usize {
        self.open.lock().limits.connections
    }

    /// The number of connections of one client.
    #[cfg(test)]
    fn count_of(&self, client: Client) -> usize {
        self.open.lock().count_of(client)
    }

    /// Evicted connections that are not closed yet.
    pub(crate) fn leaving(&self) -> usize {
        self.open.lock().leaving
    }

    /// Waits until no connection is open; false if one is open at the deadline.
    pub(crate) fn wait_empty(&self, deadline: Instant) -> bool {
        let mut open = self.open.lock();
        while open.now + open.leaving > 0 {
            if self.changed.wait_until(&mut open, deadline).timed_out() {
                return open.now + open.leaving == 0;
            }
        }
        true
    }

    fn take_descriptors(&self, count: usize) -> bool {
        let used = self.descriptors.fetch_add(count, Ordering::Relaxed) + count;
        let fits = used <= self.descriptors_max.load(Ordering::Relaxed);
        if !fits {
            self.give_descriptors(count);
        }
        fits
    }

    fn give_descriptors(&self, count: usize) {
        self.descriptors.fetch_sub(count, Ordering::Relaxed);
    }
}

impl Open {
    fn count_of(&self, client: Client) -> usize {
        self.clients.get(&client).copied().unwrap_or(0)
    }

    fn add(&mut self, client: Client) {
        self.now += 1;
        self.most = self.most.max(self.now);
        let count = self.count_of(client);
        self.rank(client, count, count + 1);
    }

    fn remove(&mut self, client: Client) {
        self.now -= 1;
        let count = self.count_of(client);
        self.rank(client, count, count.saturating_sub(1));
    }

    fn rank(&mut self, client: Client, before: usize, after: usize) {
        self.ranking.remove(&(before, client));
        if after == 0 {
            self.clients.remove(&client);
        } else {
            self.clients.insert(client, after);
            self.ranking.insert((after, client));
        }
    }
}

impl Permit {
    /// Takes `count` descriptors for a request; false if fewer are left.
    pub(crate) fn hold(&mut self, count: usize) -> bool {
        let is_held = self.held >= count || self.limit.take_descriptors(count - self.held);
        if is_held {
            self.held = self.held.max(count);
        }
        is_held
    }

    /// Releases the descriptors of a request.
    pub(crate) fn release(&mut self) {
        let held = std::mem::take(&mut self.held);
        if held > 0 {
            self.limit.give_descriptors(held);
        }
    }

    /// Releases the permit before the connection is closed, so that another connection is admitted.
    pub(crate) fn leave(&mut self) {
        if !std::mem::replace(&mut self.is_leaving, true) {
            let mut open = self.limit.open.lock();
            open.remove(self.client);
            open.leaving += 1;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.release();
        self.limit.give_descriptors(1);
        let mut open = self.limit.open.lock();
        if self.is_leaving {
            open.leaving -= 1;
        } else {
            open.remove(self.client);
        }
        drop(open);
        self.limit.observer.changed(NetGauge::Open, -1);
        self.limit.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(limits: Limits) -> Arc<ConnectionLimit> {
        let limit = Arc::new(ConnectionLimit::new(Arc::new(())));
        limit.set(limits);
        limit
    }

    fn client(ip: &str) -> Client {
        Client::of(SocketAddr::new(ip.parse().unwrap(), 1))
    }

    const LIMITS: Limits = Limits {
        connections: 5,
        per_client: 2,
        loopback: 3,
        descriptors: 7,
        last_descriptors: usize::MAX,
    };

    #[test]
    fn a_client_is_an_address_or_a_network_of_one_host() {
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_ne!(client("::1"), client("::2"));
    }

    #[test]
    fn each_limit_keeps_out_what_is_beyond_it() {
        let limit = limit(LIMITS);
        let (a, here) = (client("192.0.2.1"), client("127.0.0.1"));
        let enter = |client, count: usize| {
            let permits = (0..count).map(|_| limit.enter(client, false).ok().unwrap());
            permits.collect::<Vec<_>>()
        };
        let mut of_a = enter(a, 2);
        assert_eq!(limit.enter(a, false).err(), Some(Full::Client));
        let of_here = enter(here, 3);
        assert_eq!(limit.enter(here, false).err(), Some(Full::Client));
        assert_eq!(limit.largest(), Some((3, here)));
        let b = client("192.0.2.2");
        assert_eq!(limit.enter(b, false).err(), Some(Full::Server));
        of_a.pop();
        assert_eq!(limit.count_of(a), 1);
        assert!(limit.enter(b, false).is_ok());
        drop((of_a, of_here));
        assert_eq!(limit.largest(), None);
        assert!(limit.wait_empty(Instant::now()));
    }

    #[test]
    fn a_client_that_stands_for_many_has_the_limit_of_all() {
        let limit = limit(LIMITS);
        for proxy in [client("192.0.2.1"), client("127.0.0.1")] {
            let permits: Vec<_> = (0..5)
                .map(|_| limit.enter(proxy, true).ok().unwrap())
                .collect();
            assert_eq!(limit.count_of(proxy), 5);
            assert_eq!(limit.enter(proxy, true).err(), Some(Full::Server));
            drop(permits);
        }
    }

    #[test]
    fn requests_and_connections_share_the_descriptors() {
        let limit = limit(LIMITS);
        let a = client("192.0.2.1");
        let mut one = limit.enter(a, false).ok().unwrap();
        assert!(!one.hold(7));
        assert!(one.hold(6));
        assert!(one.hold(6), "it holds them already");
        assert_eq!(limit.enter(a, false).err(), Some(Full::Server));
        one.release();
        let two = limit.enter(a, false).ok().unwrap();
        assert!(!one.hold(6));
        drop(two);
        assert!(one.hold(6));
        drop(one);
        assert_eq!(limit.descriptors.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn who_leaves_makes_room_and_is_waited_for() {
        let limit = limit(LIMITS);
        let a = client("192.0.2.1");
        let mut permits: Vec<_> = (0..2)
            .map(|_| limit.enter(a, false).ok().unwrap())
            .collect();
        permits[0].leave();
        permits[0].leave();
        assert_eq!((limit.count_of(a), limit.leaving()), (1, 1));
        permits.push(limit.enter(a, false).ok().unwrap());
        permits.truncate(1);
        assert!(!limit.wait_empty(Instant::now()));
        drop(permits);
        assert!(limit.wait_empty(Instant::now()));
    }
}
