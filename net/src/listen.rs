//! Configured listen addresses: `ip:port`, with a zone for a link-local IPv6 address (RFC 4007, 11:
//! `[fe80::1%eth0]:21000`).

use std::net::SocketAddr;
use std::time::Instant;

use proto::Address;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Parses the address. A zone is a network interface of this machine, by name or number.
///
/// # Errors
/// It is no address, or there is no such interface; the message says so.
pub fn parse(text: &str) -> Result<SocketAddr, String> {
    if let Ok(addr) = text.parse() {
        return Ok(addr);
    }
    let wrong = |why: String| format!("invalid value {text:?}: expected address:port: {why}");
    let address: Address = text.parse().map_err(|e| wrong(format!("{e}")))?;
    if !base::resolve::is_numeric(address.as_str()) {
        return Err(wrong("a name is no address to listen on".to_owned()));
    }
    let found = base::resolve::resolve(address.as_str(), Instant::now());
    let found = found.map_err(|e| wrong(e.to_string()))?;
    let first = found.first().copied();
    first.ok_or_else(|| wrong("it has no address".to_owned()))
}

/// [`parse`] for a field of a configuration.
///
/// # Errors
/// As [`parse`].
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_the_zone_of_an_interface() {
        assert_eq!(parse("0.0.0.0:1"), Ok(([0, 0, 0, 0], 1).into()));
        let SocketAddr::V6(zoned) = parse("[fe80::1%lo]:21000").unwrap() else {
            panic!("no IPv6 address")
        };
        assert!(zoned.scope_id() > 0);
        assert_eq!(parse(&zoned.to_string()), Ok(zoned.into()));
        for text in [
            "[fe80::1%nonesuch]:1",
            "localhost:1",
            "[junk,more]:1",
            "1.2.3.4",
            "",
        ] {
            let refused = parse(text).unwrap_err();
            assert!(refused.contains("expected address:port"), "{refused}");
        }
    }
}
