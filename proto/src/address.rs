//! The address of a server, as text.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::DecodeError;

/// `host:port`, the host an IPv4 address, an IPv6 address in brackets with or without a zone (RFC
/// 4007, 11: `[fe80::1%eth0]:21000`), or a name, which need not resolve.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(Arc<str>);

impl Address {
    /// The address as text, as `ToSocketAddrs` takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a list `ip:port;ip:port;`, separated by semicolons or commas. Empty items are skipped.
    ///
    /// # Errors
    /// The first item that is no address.
    pub fn parse_list(list: &str) -> Result<Vec<Address>, DecodeError> {
        list.split([';', ','])
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::parse)
            .collect()
    }
}

impl FromStr for Address {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Address, DecodeError> {
        match check(text) {
            Ok(()) => Ok(Address(text.into())),
            Err(why) => Err(DecodeError::Address {
                why,
                value: text.chars().take(300).collect(),
            }),
        }
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    if text.contains("://") {
        return Err("it is a URL, leave out its scheme and path");
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or("a bracket is not closed")?;
        check_bracketed(host)?;
        return check_port(port.strip_prefix(':').ok_or("the port is missing")?);
    }
    let (host, port) = text.rsplit_once(':').ok_or("the port is missing")?;
    if host.contains(':') && port.is_empty() {
        return Err("the port is missing behind the last colon");
    }
    if host.contains(':') {
        return Err("an IPv6 address stands in brackets, as in [::1]:21000");
    }
    let is_of_name = |c: char| c.is_ascii_graphic() && !"[];,%/@".contains(c);
    if host.is_empty() || !host.chars().all(is_of_name) {
        return Err("the host is no name and no IP address");
    }
    check_port(port)
}

/// Checks the text in brackets: an IPv6 address, with or without a zone.
fn check_bracketed(host: &str) -> Result<(), &'static str> {
    let (ip, zone) = match host.split_once('%') {
        Some((ip, zone)) => (ip, Some(zone)),
        None => (host, None),
    };
    if ip.parse::<Ipv6Addr>().is_err() {
        return Err("only an IPv6 address stands in brackets");
    }
    let is_of_zone = |c: char| c.is_ascii_graphic() && !"[];,%/:".contains(c);
    match zone {
        Some(zone) if zone.is_empty() || !zone.chars().all(is_of_zone) => {
            Err("the zone is no name of a network interface")
        }
        _ => Ok(()),
    }
}

fn check_port(port: &str) -> Result<(), &'static str> {
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(1..) if is_number => Ok(()),
        _ if port.is_empty() => Err("the port is missing"),
        _ => Err("the port is no number from 1 to 65535"),
    }
}

impl TryFrom<String> for Address {
    type Error = DecodeError;

    fn try_from(text: String) -> Result<Address, DecodeError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.as_str().to_owned()
    }
}

impl From<core::net::SocketAddr> for Address {
    fn from(addr: core::net::SocketAddr) -> Address {
        Address(addr.to_string().into())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The address that both ends of a connection see in one form: an IPv4 address that a socket of IPv6 shows as
/// `::ffff:a.b.c.d` is written as an IPv4 address.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
