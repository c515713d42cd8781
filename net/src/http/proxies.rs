//! Trusted proxies and X-Forwarded-For.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use base::Network;
use parking_lot::RwLock;

/// The proxies in front of a daemon. Clones share one list.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<RwLock<Vec<Network>>>);

impl TrustedProxies {
    /// Trusts these networks.
    pub fn new(networks: &[Network]) -> TrustedProxies {
        TrustedProxies(Arc::new(RwLock::new(networks.to_vec())))
    }

    /// Replaces the list.
    pub fn reload(&self, networks: &[Network]) {
        *self.0.write() = networks.to_vec();
    }

    /// True if the address is a trusted proxy.
    pub(crate) fn has(&self, ip: IpAddr) -> bool {
        has(&self.0.read(), ip)
    }

    /// The address of the client: the peer, or the address that a chain of trusted proxies gives in
    /// X-Forwarded-For. Each proxy appends the address that it saw, so the rightmost address that is not
    /// trusted is the client's. The client may have forged the addresses before it.
    pub(crate) fn client(&self, peer: IpAddr, forwarded: Option<&str>) -> IpAddr {
        let networks = self.0.read();
        let is_trusted = |ip| has(&networks, ip);
        let mut client = peer.to_canonical();
        let mut hops = forwarded.unwrap_or_default().rsplit(',');
        while is_trusted(client) {
            match hops.next().and_then(address) {
                Some(ip) => client = ip,
                None => break,
            }
        }
        client
    }
}

fn has(networks: &[Network], ip: IpAddr) -> bool {
    networks.iter().any(|network| network.has(ip))
}

/// An address with an optional port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let ip = bare.parse::<IpAddr>();
    let ip = ip.or_else(|_| text.parse::<SocketAddr>().map(|addr| addr.ip()));
    Some(ip.ok()?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_that_no_trusted_proxy_has_is_the_client() {
        let trusted = ["127.0.0.1", "10.0.0.0/8", "2001:db8::/64"];
        let proxies = TrustedProxies::new(&trusted.map(|text| text.parse().unwrap()));
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
            let client = proxies.client(peer.parse().unwrap(), forwarded);
            assert_eq!(
                client,
                expected.parse::<IpAddr>().unwrap(),
                "{peer} {forwarded:?}"
            );
        }
        proxies.reload(&[]);
        let client = proxies.client([127, 0, 0, 1].into(), Some("192.0.2.1"));
        assert_eq!(client, IpAddr::from([127, 0, 0, 1]));
    }
}
