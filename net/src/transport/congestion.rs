//! Congestion control of connections that do not leave this machine.
//!
//! Some systems use BBR, which paces: it spreads segments over time, with a timer for every 64 KiB
//! or so. Towards players far away that is what the system's owner wants. Between two processes of
//! one machine there is no network to be gentle to, and setting the timers takes more of the
//! processor than moving the bytes.

use std::net::{SocketAddr, TcpStream};

use log::debug;
use socket2::{Domain, SockRef, Socket, Type};

/// What begins like this paces.
const PACING: &[u8] = b"bbr";
/// Does not pace, is in every kernel, and may be used by everybody.
const UNPACED: &[u8] = b"reno";

/// Has the connections of a socket that will listen begin without pacing: one that was paced once
/// stays so.
pub(crate) fn prepare(socket: &Socket) {
    if pacing_system().is_some()
        && let Err(e) = socket.set_tcp_congestion(UNPACED)
    {
        debug!("connections on this machine are paced: {e}");
    }
}

/// What connections from other machines get: the system's choice.
pub(crate) struct Congestion {
    /// Absent when they have it already.
    system: Option<Vec<u8>>,
}

impl Congestion {
    pub(crate) fn of_system() -> Congestion {
        let system = pacing_system();
        Congestion { system }
    }

    /// Gives a new connection what is due to it by where its peer is.
    pub(crate) fn assign(&self, stream: &TcpStream, peer: SocketAddr) {
        if let Some(system) = &self.system
            && !is_here(stream, peer)
            && let Err(e) = SockRef::from(stream).set_tcp_congestion(system)
        {
            debug!("{peer}: not the congestion control of the system: {e}");
        }
    }
}

fn is_here(stream: &TcpStream, peer: SocketAddr) -> bool {
    let ip = peer.ip().to_canonical();
    ip.is_loopback() || stream.local_addr().is_ok_and(|own| own.ip() == peer.ip())
}

/// The system's congestion control, if it paces.
fn pacing_system() -> Option<Vec<u8>> {
    let fresh = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    let mut name = fresh.tcp_congestion().ok()?;
    name.retain(|byte| *byte != 0);
    name.starts_with(PACING).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    fn of(stream: &TcpStream) -> Vec<u8> {
        let mut name = SockRef::from(stream).tcp_congestion().unwrap();
        name.retain(|byte| *byte != 0);
        name
    }

    #[test]
    fn connections_here_begin_without_pacing() {
        let addr = (Ipv4Addr::LOCALHOST, 0).into();
        let listener = crate::transport::Port::bind(addr)
            .and_then(crate::transport::Port::listen)
            .unwrap();
        listener.set_nonblocking(false).unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        assert!(!of(&stream).starts_with(PACING));
    }

    #[test]
    fn who_is_here_is_not_paced_and_who_is_elsewhere_gets_what_the_system_wants() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, addr) = listener.accept().unwrap();
        assert!(is_here(&stream, addr));
        SockRef::from(&stream).set_tcp_congestion(UNPACED).unwrap();
        // As on a system whose choice is another; which ones there are depends on its modules.
        let system = of(&peer);
        let congestion = Congestion {
            system: Some(system.clone()),
        };
        congestion.assign(&stream, addr);
        assert_eq!(of(&stream), UNPACED);
        let elsewhere = (Ipv4Addr::new(192, 0, 2, 1), 80).into();
        assert!(!is_here(&stream, elsewhere));
        congestion.assign(&stream, elsewhere);
        assert_eq!(of(&stream), system);
    }
}
