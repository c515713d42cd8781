//! A client of frames, without the client library.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use proto::{Fault, HEAD_LEN, Head};
use test_support::PATIENCE;

/// Connects, with timeouts of a minute.
pub fn connect(addr: SocketAddr) -> TcpStream {
    with_timeouts(TcpStream::connect(addr).unwrap())
}

/// Sets the same timeouts on another connection.
pub fn with_timeouts(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends these bytes and receives one reply, head and body.
pub fn exchange(stream: &mut TcpStream, request: &[u8]) -> Vec<u8> {
    stream.write_all(request).unwrap();
    receive(stream)
}

/// Receives one reply, head and body.
pub fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut reply = vec![0; HEAD_LEN];
    stream.read_exact(&mut reply).unwrap();
    let len = head_of(&reply).body_len as usize;
    reply.resize(HEAD_LEN + len, 0);
    stream.read_exact(&mut reply[HEAD_LEN..]).unwrap();
    reply
}

/// The head of a reply.
pub fn head_of(reply: &[u8]) -> Head {
    Head::decode(reply.first_chunk().unwrap())
}

/// The body of a reply, or the failure in it.
pub fn result_of(reply: &[u8]) -> Result<Vec<u8>, Fault> {
    let body = &reply[HEAD_LEN..];
    match head_of(reply).is_ok() {
        true => Ok(body.to_vec()),
        false => Err(Fault::decode(body).unwrap()),
    }
}
