//! Making a TCP connection: name, local address, time-outs.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};

use proto::Address;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{ConnectionConfig, Error};

/// What begins like this paces, with a timer for every 64 KiB or so, which costs more than sending
/// them.
const PACING: &[u8] = b"bbr";
/// Does not pace, is in every kernel, and may be used by everybody.
const UNPACED: &[u8] = b"reno";

/// Connects to the first of the addresses behind `address` that accepts.
pub(crate) fn dial_any(address: &Address, config: &ConnectionConfig) -> Result<TcpStream, Error> {
    let resolve_error = |source| Error::Resolve {
        address: address.clone(),
        source,
    };
    let resolved = address.as_str().to_socket_addrs().map_err(resolve_error)?;
    let mut failure = resolve_error(io::Error::other(
        "it has no address of the family of the local address",
    ));
    let same_family =
        |peer: &SocketAddr| config.bind.is_none_or(|ip| ip.is_ipv4() == peer.is_ipv4());
    for peer in resolved.filter(same_family) {
        match dial(peer, config) {
            Ok(stream) => return Ok(stream),
            Err(source) => {
                failure = Error::Connect {
                    address: address.clone(),
                    source,
                }
            }
        }
    }
    Err(failure)
}

fn dial(peer: SocketAddr, config: &ConnectionConfig) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
    if peer.ip().to_canonical().is_loopback() {
        stop_pacing(&socket);
    }
    if let Some(ip) = config.bind {
        socket.bind(&SocketAddr::new(ip, 0).into())?;
    }
    socket.connect_timeout(&peer.into(), config.connect_timeout)?;
    let stream = TcpStream::from(socket);
    // The kernel may connect a socket to itself when the port it chose is the one it calls.
    if stream.local_addr()? == peer {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(config.io_timeout))?;
    stream.set_write_timeout(Some(config.io_timeout))?;
    Ok(stream)
}

/// For a connection that will not leave this machine: it has no network to be gentle to.
fn stop_pacing(socket: &Socket) {
    if socket
        .tcp_congestion()
        .is_ok_and(|name| name.starts_with(PACING))
    {
        // Where it is refused it is slower, and no worse.
        let _ = socket.set_tcp_congestion(UNPACED);
    }
}
