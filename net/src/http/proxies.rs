//! Trusted proxies, and the clients behind them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use base::Network;
use parking_lot::{Mutex, RwLock};

use super::forwarded::{self, address};
use super::request::Request;
use crate::peer_host::one_host;

/// The proxies in front of a daemon, and the requests of the clients behind them. Clones share both.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<State>);

#[derive(Debug, Default)]
struct State {
    rules: RwLock<Rules>,
    /// Requests in progress by client. Bounded by the number of requests.
    requests: Mutex<HashMap<IpAddr, u32>>,
}

#[derive(Debug, Default)]
struct Rules {
    networks: Vec<Network>,
    /// Most requests of one client at a time; absent without a limit.
    per_client: Option<u32>,
}

/// A request in progress of a client behind a proxy; dropping the permit ends it.
#[derive(Debug)]
pub(super) struct RequestPermit {
    proxies: TrustedProxies,
    client: IpAddr,
}

/// The fields in which proxies name their clients.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ForwardedFor<'a> {
    /// X-Forwarded-For: addresses with commas.
    x_forwarded_for: Option<&'a str>,
    /// Forwarded (RFC 7239).
    forwarded: Option<&'a str>,
}

impl<'a> ForwardedFor<'a> {
    pub(super) fn of(request: &'a Request) -> ForwardedFor<'a> {
        ForwardedFor {
            x_forwarded_for: request.header("x-forwarded-for"),
            forwarded: request.header("forwarded"),
        }
    }

    /// True if the request has such a field.
    pub(super) fn is_present(&self) -> bool {
        self.x_forwarded_for.is_some() || self.forwarded.is_some()
    }
}

impl TrustedProxies {
    /// Trusts these networks. Each client behind them may have `per_client` requests at a time.
    pub fn new(networks: &[Network], per_client: Option<u32>) -> TrustedProxies {
        let proxies = TrustedProxies::default();
        proxies.reload(networks, per_client);
        proxies
    }

    /// Replaces the networks and the limit.
    pub fn reload(&self, networks: &[Network], per_client: Option<u32>) {
        *self.0.rules.write() = Rules {
            networks: networks.to_vec(),
            per_client,
        };
    }

    /// True if the address is a trusted proxy.
    pub(super) fn has(&self, ip: IpAddr) -> bool {
        self.0.rules.read().has(ip)
    }

    /// The address of the client: the peer, or the address that a chain of trusted proxies gives. Each proxy
    /// appends the address that it saw, so the rightmost address that is not trusted is the client's. The
    /// client may have forged the addresses before it.
    ///
    /// A proxy writes one of the two fields, and may pass on the other one as the client sent it. If they
    /// name different clients, one of them is forged, and the client counts as the proxy.
    pub(super) fn client(&self, peer: IpAddr, fields: ForwardedFor<'_>) -> IpAddr {
        let rules = self.0.rules.read();
        let peer = peer.to_canonical();
        let old = fields.x_forwarded_for;
        let old = old.map(|field| rules.last_untrusted(peer, field.rsplit(',').map(address)));
        let new = fields.forwarded.map(|field| {
            let hops = forwarded::hops(field).unwrap_or_default();
            rules.last_untrusted(peer, hops.into_iter().rev())
        });
        match (old, new) {
            (Some(old), Some(new)) if old != new => peer,
            (old, new) => old.or(new).unwrap_or(peer),
        }
    }

    /// Counts a request of a client; absent at the limit.
    pub(super) fn enter(&self, client: IpAddr) -> Option<RequestPermit> {
        let client = one_host(client);
        let limit = self.0.rules.read().per_client;
        let mut requests = self.0.requests.lock();
        let count = requests.get(&client).copied().unwrap_or(0);
        if limit.is_some_and(|limit| count >= limit) {
            return None;
        }
        requests.insert(client, count + 1);
        let proxies = self.clone();
        Some(RequestPermit { proxies, client })
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        let mut requests = self.proxies.0.requests.lock();
        let count = requests.get(&self.client).copied().unwrap_or(0);
        if count > 1 {
            requests.insert(self.client, count - 1);
        } else {
            requests.remove(&self.client);
        }
    }
}

impl Rules {
    fn has(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.has(ip))
    }

    /// Follows the hops from the peer on while they are trusted proxies.
    fn last_untrusted(
        &self,
        peer: IpAddr,
        mut hops: impl Iterator<Item = Option<IpAddr>>,
    ) -> IpAddr {
        let mut client = peer;
        while self.has(client) {
            match hops.next().flatten() {
                Some(ip) => client = ip,
                None => break,
            }
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_that_no_trusted_proxy_has_is_the_client() {
        let trusted = ["127.0.0.1", "10.0.0.0/8", "2001:db8::/64"];
        let proxies = TrustedProxies::new(&trusted.map(|text| text.parse().unwrap()), None);
        for (peer, forwarded, expected) in [
            ("192.0.2.1", None, "192.0.2.1"),
            ("192.0.2.1", Some("198.51.100.1"), "192.0.2.1"),
            ("127.0.0.1", None, "127.0.0.1"),
            ("127.0.0.1", Some("198.51.100.1"), "198.51.100.1"),
            ("::ffff:127.0.0.1", Some("198.51.100.1"), "198.51.100.1"),
            (
                "127.0.0.1",
                Some("1.1.1.1, 198.51.100.1,10.2.3.4"),
                "198.51.100.1",
            ),
            ("127.0.0.1", Some("10.0.0.1"), "10.0.0.1"),
            ("127.0.0.1", Some("rubbish"), "127.0.0.1"),
            ("127.0.0.1", Some("1.1.1.1, rubbish, 10.0.0.1"), "10.0.0.1"),
            ("127.0.0.1", Some("198.51.100.1:4711"), "198.51.100.1"),
            ("2001:db8::1", Some("[2001:db8:1::2]:80"), "2001:db8:1::2"),
            ("127.0.0.1", Some("[2001:db8:1::2]"), "2001:db8:1::2"),
            ("127.0.0.1", Some("::ffff:192.0.2.9"), "192.0.2.9"),
        ] {
            let fields = ForwardedFor {
                x_forwarded_for: forwarded,
                forwarded: None,
            };
            let client = proxies.client(peer.parse().unwrap(), fields);
            assert_eq!(
                client,
                expected.parse::<IpAddr>().unwrap(),
                "{peer} {forwarded:?}"
            );
        }
        proxies.reload(&[], None);
        let fields = ForwardedFor {
            x_forwarded_for: Some("192.0.2.1"),
            forwarded: Some("for=192.0.2.1"),
        };
        let client = proxies.client([127, 0, 0, 1].into(), fields);
        assert_eq!(client, IpAddr::from([127, 0, 0, 1]));
    }

    #[test]
    fn of_two_fields_that_differ_neither_is_believed() {
        let trusted = ["127.0.0.1", "10.0.0.0/8"].map(|text| text.parse().unwrap());
        let proxies = TrustedProxies::new(&trusted, None);
        for (peer, x_forwarded_for, forwarded, expected) in [
            ("127.0.0.1", None, Some("for=192.0.2.1"), "192.0.2.1"),
            (
                "127.0.0.1",
                None,
                Some("for=1.1.1.1, for=192.0.2.1;proto=https, for=10.0.0.1"),
                "192.0.2.1",
            ),
            ("127.0.0.1", None, Some("for=unknown"), "127.0.0.1"),
            ("127.0.0.1", None, Some("for=\""), "127.0.0.1"),
            ("192.0.2.9", None, Some("for=192.0.2.1"), "192.0.2.9"),
            (
                "127.0.0.1",
                Some("192.0.2.1"),
                Some("for=192.0.2.1"),
                "192.0.2.1",
            ),
            (
                "127.0.0.1",
                Some("192.0.2.1"),
                Some("for=1.1.1.1"),
                "127.0.0.1",
            ),
            ("127.0.0.1", Some("192.0.2.1"), Some("x"), "127.0.0.1"),
        ] {
            let fields = ForwardedFor {
                x_forwarded_for,
                forwarded,
            };
            let client = proxies.client(peer.parse().unwrap(), fields);
            assert_eq!(client.to_string(), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_client_behind_a_proxy_has_a_limit_of_requests() {
        let proxies = TrustedProxies::new(&[], Some(2));
        let enter = |ip: &str| proxies.enter(ip.parse().unwrap());
        let first = enter("192.0.2.1");
        let second = enter("::ffff:192.0.2.1");
        assert!(first.is_some() && second.is_some());
        assert!(enter("192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some());
        drop(first);
        let third = enter("192.0.2.1");
        assert!(third.is_some() && enter("192.0.2.1").is_none());
        proxies.reload(&[], None);
        assert!(enter("192.0.2.1").is_some());
        drop((second, third));
        assert!(proxies.0.requests.lock().is_empty());
    }
}
