//! The ports of a daemon.

use std::io;

use net::Port;
use rustix::io::Errno;

use crate::config::Config;

/// All ports of a daemon. They are bound before the daemon changes anything, so that a start that fails
/// here leaves nothing behind.
#[derive(Debug)]
pub struct Ports {
    /// The port of the service.
    pub service: Port,
    /// The status port, unless it is off.
    pub status: Option<Port>,
}

impl Ports {
    /// Binds both ports.
    ///
    /// # Errors
    /// A port is in use, or its address cannot be bound; the message names it.
    pub(crate) fn bind<S>(config: &Config<S>) -> anyhow::Result<Ports> {
        let service = config.listen;
        let port =
            Port::bind(service).map_err(|error| cannot_listen(&service.to_string(), error))?;
        let status = config.status.bind()?;
        if let Some(status) = status.as_ref().filter(|status| status.excludes(&port)) {
            let place = format!("{}, the status port", status.addr());
            return Err(cannot_listen(&place, Errno::ADDRINUSE.into()));
        }
        Ok(Ports {
            service: port,
            status,
        })
    }
}

/// The error of a port that cannot be bound, with what to do about it.
pub(crate) fn cannot_listen(place: &str, error: io::Error) -> anyhow::Error {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "; it is taken: ss -ltnp shows by whom; choose another port",
        io::ErrorKind::AddrNotAvailable => {
            "; this machine has no such address: ip address shows its own"
        }
        io::ErrorKind::PermissionDenied => "; a port below 1024 needs root or CAP_NET_BIND_SERVICE",
        _ => "",
    };
    anyhow::anyhow!("cannot listen on {place}: {error}{advice}")
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

    use super::*;
    use crate::status::StatusConfig;
    use crate::tests::TestSettings;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    fn bind(listen: SocketAddr, status: StatusConfig) -> anyhow::Result<Ports> {
        Ports::bind(&Config::<TestSettings> {
            listen,
            status,
            ..Config::default()
        })
    }

    #[test]
    fn a_port_that_is_taken_is_named() {
        let taken = TcpListener::bind(ANY).unwrap();
        let addr = taken.local_addr().unwrap();
        let why = |service, status| {
            let error = bind(service, StatusConfig::at(status)).unwrap_err();
            format!("{error:#}")
        };
        let in_use = io::Error::from(Errno::ADDRINUSE);
        let advice = "it is taken: ss -ltnp shows by whom; choose another port";
        let expected = format!("cannot listen on {addr}: {in_use}; {advice}");
        assert_eq!(why(addr, ANY), expected);
        let expected = format!("cannot listen on {addr}, the status port: {in_use}; {advice}");
        assert_eq!(why(ANY, addr), expected);
        let absent = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), 0);
        let text = why(absent, ANY);
        assert!(text.contains("this machine has no such address"), "{text}");
    }

    #[test]
    fn one_port_is_not_for_both() {
        let free = Port::bind(ANY).unwrap().addr();
        let wild = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), free.port());
        for (service, status) in [(free, free), (wild, free), (free, wild)] {
            let error = bind(service, StatusConfig::at(status)).unwrap_err();
            let text = format!("{error:#}");
            assert!(
                text.starts_with(&format!("cannot listen on {status}, ")),
                "{text}"
            );
        }
        assert!(bind(free, StatusConfig::off()).unwrap().status.is_none());
    }

    #[test]
    fn nobody_gets_in_before_the_daemon_serves() {
        let ports = bind(ANY, StatusConfig::at(ANY)).unwrap();
        for port in [ports.service, ports.status.unwrap()] {
            let refused = TcpStream::connect(port.addr()).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            let addr = port.addr();
            let listener = port.listen().unwrap();
            assert_eq!(listener.local_addr().unwrap(), addr);
            TcpStream::connect(addr).unwrap();
        }
    }
}
