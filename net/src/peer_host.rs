//! Maps the address of a peer to its host.

use std::net::{IpAddr, Ipv6Addr};

/// The address that stands for the host of a peer: an IPv4 address itself, or the first 64 bits of
/// an IPv6 address, because a host chooses the other 64 (RFC 4291, 2.5.4). The loopback address
/// stays as it is, so that callers can still tell this host from others.
pub fn one_host(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => {
            Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into()
        }
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_or_a_network_and_loopback_stays() {
        let host = |ip: &str| one_host(ip.parse().unwrap()).to_string();
        assert_eq!(host("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(host("2001:db8:0:1:2:3:4:5"), "2001:db8:0:1::");
        assert_eq!((host("::1"), host("::2")), ("::1".into(), "::".into()));
        assert_eq!(host("::ffff:127.0.0.1"), "127.0.0.1");
    }
}
