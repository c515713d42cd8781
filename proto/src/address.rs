//! Where a server listens, as text.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::DecodeError;

/// `host:port`, the host an IPv4 address, an IPv6 address in brackets, or a name. Whether it
/// resolves is the dialler's question.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(Arc<str>);

impl Address {
    /// The address as text, fit for `ToSocketAddrs`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a list `ip:port;ip:port;`. Empty items (a final semicolon) are passed over.
    ///
    /// # Errors
    /// The first item that is no address.
    pub fn parse_list(list: &str) -> Result<Vec<Address>, DecodeError> {
        list.split(';')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::parse)
            .collect()
    }
}

impl FromStr for Address {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Address, DecodeError> {
        let valid = text.rsplit_once(':').is_some_and(|(host, port)| {
            let bracketed = host.starts_with('[') && host.ends_with(']');
            let host_ok = !host.is_empty()
                && (bracketed || !host.contains(':'))
                && host.chars().all(|c| c.is_ascii_graphic() && c != ';');
            host_ok && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
        if valid {
            return Ok(Address(text.into()));
        }
        Err(DecodeError::Character {
            field: "address",
            allowed: "host:port",
            value: text.chars().take(300).collect(),
        })
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
