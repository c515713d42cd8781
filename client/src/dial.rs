//! TCP connections: name resolution, local address, timeouts.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, TcpStream};
use std::time::{Duration, Instant};

use proto::Address;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{ConnectionConfig, Error};

/// Minimum time for one of several addresses, if as much is left.
const ADDRESS_TIME_MIN: Duration = Duration::from_secs(1);

/// Connects to the first resolved address that accepts. `connect_timeout` limits the whole, with the
/// resolver.
pub(crate) fn dial_any(address: &Address, config: &ConnectionConfig) -> Result<TcpStream, Error> {
    let resolve_error = |source| Error::Resolve {
        address: address.clone(),
        source,
    };
    let deadline = Instant::now() + config.connect_timeout;
    let resolved = base::resolve::resolve(address.as_str(), deadline).map_err(resolve_error)?;
    let same_family =
        |peer: &SocketAddr| config.bind.is_none_or(|ip| ip.is_ipv4() == peer.is_ipv4());
    let peers: Vec<SocketAddr> = resolved.into_iter().filter(same_family).collect();
    if peers.is_empty() {
        let text = "it has no address of the family of the local address";
        return Err(resolve_error(io::Error::other(text)));
    }
    dial_first(&peers, deadline, config).map_err(|source| Error::Connect {
        address: address.clone(),
        source,
    })
}

/// Connects to the first of `peers` that accepts, until `deadline` for all of them together.
///
/// # Errors
/// None accepts; the error is that of the last one.
fn dial_first(
    peers: &[SocketAddr],
    deadline: Instant,
    config: &ConnectionConfig,
) -> io::Result<TcpStream> {
    let mut failure = io::ErrorKind::AddrNotAvailable.into();
    for (idx, &peer) in peers.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let time = share(left, peers.len() - idx);
        match dial(peer, time, config) {
            Ok(stream) => return Ok(stream),
            Err(e) => failure = e,
        }
    }
    Err(failure)
}

/// Time for the first of `n` addresses, so that a silent one leaves time for the others.
fn share(left: Duration, n: usize) -> Duration {
    let n = u32::try_from(n).unwrap_or(u32::MAX).max(1);
    // The system refuses a timeout of zero.
    let least = Duration::from_millis(1);
    (left / n).max(ADDRESS_TIME_MIN).min(left).max(least)
}

fn dial(peer: SocketAddr, time: Duration, config: &ConnectionConfig) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(ip) = config.bind {
        socket.bind(&local(ip, peer).into())?;
    }
    socket.connect_timeout(&peer.into(), time)?;
    let stream = TcpStream::from(socket);
    // The kernel connects a socket to itself if it chose the called port as the local one.
    if stream.local_addr()? == peer {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(config.io_timeout))?;
    stream.set_write_timeout(Some(config.io_timeout))?;
    Ok(stream)
}

/// The local address. A link-local one is valid in the peer's zone only.
fn local(ip: IpAddr, peer: SocketAddr) -> SocketAddr {
    match (ip, peer) {
        (IpAddr::V6(ip), SocketAddr::V6(peer)) => {
            SocketAddrV6::new(ip, 0, 0, peer.scope_id()).into()
        }
        (ip, _) => SocketAddr::new(ip, 0),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// An address that answers no SYN: its queue is full. It is silent as long as the sockets live.
    fn silent() -> (SocketAddr, Vec<Socket>) {
        let new = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let listener = new();
        listener
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        listener.listen(0).unwrap();
        let addr = listener.local_addr().unwrap();
        let mut sockets = vec![listener];
        loop {
            let socket = new();
            let connected = socket.connect_timeout(&addr, Duration::from_millis(500));
            sockets.push(socket);
            if connected.is_err() {
                return (addr.as_socket().unwrap(), sockets);
            }
        }
    }

    #[test]
    fn addresses_that_are_silent_have_one_deadline_together() {
        let (silent, _sockets) = silent();
        let config = ConnectionConfig::default();
        let began = Instant::now();
        let (time, n) = (Duration::from_secs(2), 30);
        let failure = dial_first(&vec![silent; n], began + time, &config).unwrap_err();
        assert_eq!(failure.kind(), io::ErrorKind::TimedOut);
        let took = began.elapsed();
        assert!((time..ADDRESS_TIME_MIN * 20).contains(&took), "{took:?}");
    }

    #[test]
    fn an_address_that_is_silent_leaves_time_for_the_next_one() {
        let (silent, _sockets) = silent();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let deadline = Instant::now() + Duration::from_secs(8);
        let stream = dial_first(&[silent, good], deadline, &ConnectionConfig::default()).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        assert!(Instant::now() < deadline);
    }
}
