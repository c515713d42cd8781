//! Addresses and networks of the configuration.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A network as in `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    ip: IpAddr,
    bits: u8,
}

impl Network {
    /// All addresses, as two networks.
    pub fn everybody() -> Vec<Network> {
        let ips: [IpAddr; 2] = [[0; 4].into(), [0u8; 16].into()];
        ips.map(|ip| Network { ip, bits: 0 }).into()
    }

    /// The assumed network of a host: 24 bits of an IPv4 address, 64 of an IPv6 address.
    pub fn around(ip: IpAddr) -> Network {
        let ip = ip.to_canonical();
        let bits = if ip.is_ipv4() { 24 } else { 64 };
        Network { ip, bits }
    }

    /// True if the network contains the address, which may be an IPv4-mapped IPv6 address.
    pub fn has(&self, ip: IpAddr) -> bool {
        match (self.ip, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let differ = net.to_bits() ^ ip.to_bits();
                differ.checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let differ = net.to_bits() ^ ip.to_bits();
                differ.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let wrong = || format!("{text:?} is no address and no network such as 10.0.0.0/8");
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
        let max = if ip.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(max);
        if bits > max {
            return Err(wrong());
        }
        Ok(Network { ip, bits })
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Network, String> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = if self.ip.is_ipv4() { 32 } else { 128 };
        if self.bits == max {
            return write!(f, "{}", self.ip);
        }
        write!(f, "{}/{}", self.ip, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_with_its_first_bits() {
        let list = ["10.1.2.0/23", "192.0.2.7", "2001:db8::/33"];
        let networks: [Network; 3] = list.map(|text| text.parse().unwrap());
        assert_eq!(networks.clone().map(|n: Network| n.to_string()), list);
        let has = |ip: &str| networks.iter().any(|n| n.has(ip.parse().unwrap()));
        for ip in [
            "10.1.2.0",
            "10.1.3.255",
            "::ffff:10.1.3.1",
            "192.0.2.7",
            "2001:db8:7fff::1",
        ] {
            assert!(has(ip), "{ip}");
        }
        for ip in [
            "10.1.1.255",
            "10.1.4.0",
            "192.0.2.6",
            "2001:db8:8000::1",
            "::1",
        ] {
            assert!(!has(ip), "{ip}");
        }
        let everybody = Network::everybody();
        for ip in ["::1", "198.51.100.1"] {
            assert!(everybody.iter().any(|n| n.has(ip.parse().unwrap())), "{ip}");
        }
    }

    #[test]
    fn the_network_around_a_host_ends_with_its_last_byte_or_its_last_64_bits() {
        for (host, inside, outside) in [
            ("10.1.2.3", "10.1.2.255", "10.1.3.3"),
            ("::ffff:10.1.2.3", "10.1.2.0", "10.1.1.255"),
            ("2001:db8::1", "2001:db8::ff:1", "2001:db8:0:1::1"),
            ("10.1.2.3", "10.1.2.3", "::1"),
        ] {
            let network = Network::around(host.parse().unwrap());
            assert!(network.has(inside.parse().unwrap()), "{host} {inside}");
            assert!(!network.has(outside.parse().unwrap()), "{host} {outside}");
        }
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in [
            "",
            "*",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "::/129",
            "10.0.0",
            "a/8",
            "10.0.0.0/",
        ] {
            let told = text.parse::<Network>().unwrap_err();
            assert!(told.contains(text), "{told}");
        }
    }
}
