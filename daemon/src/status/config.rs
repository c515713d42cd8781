//! Section `[status]`.

use std::net::{Ipv4Addr, SocketAddr};

use net::{Port, listen};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ports::cannot_listen;

/// The value that disables the port.
const OFF: &str = "off";

/// The address of the status port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatusConfig {
    /// Absent in a file that leaves it to the default of the daemon.
    listen: Option<Listen>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listen {
    At(SocketAddr),
    Off,
}

impl StatusConfig {
    /// The status port at this address.
    pub fn at(addr: SocketAddr) -> StatusConfig {
        StatusConfig {
            listen: Some(Listen::At(addr)),
        }
    }

    /// No status port.
    pub fn off() -> StatusConfig {
        StatusConfig {
            listen: Some(Listen::Off),
        }
    }

    /// With `port` of the loopback address as the default.
    pub(crate) fn or_loopback(self, port: u16) -> StatusConfig {
        let loopback = Listen::At((Ipv4Addr::LOCALHOST, port).into());
        StatusConfig {
            listen: Some(self.listen.unwrap_or(loopback)),
        }
    }

    /// The address, unless the port is off.
    pub fn listen(&self) -> Option<SocketAddr> {
        match self.listen? {
            Listen::At(addr) => Some(addr),
            Listen::Off => None,
        }
    }

    /// Tells who reads the pages, for `--check-config`; nothing if the port is off.
    pub fn summary(&self) -> Option<String> {
        let addr = self.listen()?;
        Some(match addr.ip().is_loopback() {
            true => format!("status pages at {addr}: every program on this machine reads them"),
            false => format!("status pages at {addr}: every program that can connect reads them"),
        })
    }

    /// Binds the port, unless it is off.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn bind(&self) -> anyhow::Result<Option<Port>> {
        let bind = |addr| {
            let place = format!("{addr}, the status port");
            Port::bind(addr).map_err(|error| cannot_listen(&place, error))
        };
        self.listen().map(bind).transpose()
    }
}

impl Serialize for Listen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Listen::At(addr) => addr.serialize(serializer),
            Listen::Off => serializer.serialize_str(OFF),
        }
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Listen, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "" | OFF => Ok(Listen::Off),
            addr => listen::parse(addr)
                .map(Listen::At)
                .map_err(|why| Error::custom(format!("{why}; or \"{OFF}\""))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<StatusConfig, toml::de::Error> {
        toml::from_str(text).map(|config: StatusConfig| config.or_loopback(21001))
    }

    #[test]
    fn an_address_off_or_the_default() {
        let default = read("").unwrap().listen().unwrap();
        assert_eq!(default.to_string(), "127.0.0.1:21001");
        let at = read("listen = \"[::1]:9\"").unwrap();
        assert_eq!(at, StatusConfig::at("[::1]:9".parse().unwrap()));
        for text in ["listen = \"off\"", "listen = \"\""] {
            assert_eq!(read(text).unwrap(), StatusConfig::off());
        }
        let refused = read("listen = \"localhost\"").unwrap_err().to_string();
        assert!(refused.contains("expected address:port"), "{refused}");
    }

    #[test]
    fn it_is_printed_as_it_is_read() {
        for config in [read("").unwrap(), StatusConfig::off()] {
            let text = toml::to_string(&config).unwrap();
            assert_eq!(read(&text).unwrap(), config);
        }
    }
}
