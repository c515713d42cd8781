//! The list of addresses and networks that may connect.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use base::config::ConfigError;
use parking_lot::RwLock;
use proto::{ErrorCode, Fault};
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

/// The `allow_hosts` of a running daemon.
#[derive(Debug)]
pub struct AllowedHosts(RwLock<Vec<Network>>);

impl AllowedHosts {
    /// Allows these networks.
    pub fn new(networks: Vec<Network>) -> AllowedHosts {
        AllowedHosts(RwLock::new(networks))
    }

    /// Refuses a list that allows no address.
    ///
    /// # Errors
    /// It is empty.
    pub fn check_list(networks: &[Network]) -> Result<(), ConfigError> {
        if networks.is_empty() {
            let text = "nobody could connect: name addresses or networks";
            return Err(ConfigError::invalid("allow_hosts", text));
        }
        Ok(())
    }

    /// Replaces the list.
    pub fn reload(&self, networks: &[Network]) {
        *self.0.write() = networks.to_vec();
    }

    /// Refuses an address that is not in the list.
    ///
    /// # Errors
    /// Forbidden; the message names the address.
    pub fn check(&self, ip: IpAddr) -> Result<(), Fault> {
        if self.0.read().iter().any(|network| network.has(ip)) {
            return Ok(());
        }
        let message = format!("{} is not in allow_hosts", ip.to_canonical());
        Err(Fault::new(ErrorCode::Forbidden, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_no_network_of_the_list_is_refused() {
        let list = ["10.1.2.0/23", "192.0.2.7", "2001:db8::/33"];
        let networks: [Network; 3] = list.map(|text| text.parse().unwrap());
        assert_eq!(networks.clone().map(|n: Network| n.to_string()), list);
        let allowed = AllowedHosts::new(networks.to_vec());
        let is = |ip: &str| allowed.check(ip.parse().unwrap()).is_ok();
        for ip in [
            "10.1.2.0",
            "10.1.3.255",
            "::ffff:10.1.3.1",
            "192.0.2.7",
            "2001:db8:7fff::1",
        ] {
            assert!(is(ip), "{ip}");
        }
        for ip in [
            "10.1.1.255",
            "10.1.4.0",
            "192.0.2.6",
            "2001:db8:8000::1",
            "::1",
        ] {
            assert!(!is(ip), "{ip}");
        }
        allowed.reload(&Network::everybody());
        assert!(is("::1") && is("198.51.100.1"));
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
        assert!(AllowedHosts::check_list(&[]).is_err());
    }
}
