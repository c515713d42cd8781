//! Section `[status]`.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use net::{Port, listen};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The value that disables the port.
const OFF: &str = "off";

/// The address of the status port; `PORT` of the loopback address by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusConfig<const PORT: u16> {
    #[serde(default = "loopback::<PORT>")]
    listen: Listen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listen(Option<SocketAddr>);

impl<const PORT: u16> StatusConfig<PORT> {
    /// The status port at this address.
    pub fn at(addr: SocketAddr) -> StatusConfig<PORT> {
        StatusConfig {
            listen: Listen(Some(addr)),
        }
    }

    /// No status port.
    pub fn off() -> StatusConfig<PORT> {
        StatusConfig {
            listen: Listen(None),
        }
    }

    /// The address, unless the port is off.
    pub fn listen(&self) -> Option<SocketAddr> {
        self.listen.0
    }

    /// Binds the port, unless it is off.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn bind(&self) -> anyhow::Result<Option<Port>> {
        let bind = |addr| {
            Port::bind(addr).with_context(|| format!("cannot listen on {addr}, the status port"))
        };
        self.listen().map(bind).transpose()
    }
}

impl<const PORT: u16> Default for StatusConfig<PORT> {
    fn default() -> StatusConfig<PORT> {
        StatusConfig {
            listen: loopback::<PORT>(),
        }
    }
}

fn loopback<const PORT: u16>() -> Listen {
    Listen(Some((Ipv4Addr::LOCALHOST, PORT).into()))
}

impl Serialize for Listen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(addr) => addr.serialize(serializer),
            None => serializer.serialize_str(OFF),
        }
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Listen, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "" | OFF => Ok(Listen(None)),
            addr => listen::parse(addr)
                .map(|addr| Listen(Some(addr)))
                .map_err(|why| Error::custom(format!("{why}; or \"{OFF}\""))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Config = StatusConfig<21001>;

    #[test]
    fn an_address_off_or_the_default() {
        let read = |text: &str| toml::from_str::<Config>(text);
        assert_eq!(read("").unwrap(), Config::default());
        let default = Config::default().listen().unwrap();
        assert_eq!(default.to_string(), "127.0.0.1:21001");
        let at = read("listen = \"[::1]:9\"").unwrap();
        assert_eq!(at, Config::at("[::1]:9".parse().unwrap()));
        for text in ["listen = \"off\"", "listen = \"\""] {
            assert_eq!(read(text).unwrap(), Config::off());
        }
        let refused = read("listen = \"localhost\"").unwrap_err().to_string();
        assert!(refused.contains("expected address:port"), "{refused}");
    }

    #[test]
    fn it_is_printed_as_it_is_read() {
        for config in [Config::default(), Config::off()] {
            let text = toml::to_string(&config).unwrap();
            assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
        }
    }
}
