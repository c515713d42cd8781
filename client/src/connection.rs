//! One connection to one server: one request, one reply, in turn.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use proto::{Address, ErrorCode, Fault, HEAD_LEN, Head};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::dial::dial_any;
use crate::error::is_timeout;
use crate::{ConnectionConfig, Error, ProtocolError};

/// Most bytes that are thrown away for a connection: more cost more than a new one.
pub(crate) const DISCARD_MAX: u64 = 256 << 10;
/// Thrown away at once.
const DISCARD_STEP: usize = 32 << 10;

/// A connection to a tracker, an idserver or a storage.
///
/// Invariant: nothing is due exactly when every request was answered and every answer read to its
/// end. After a failure reply nothing is due; after an i/o error or a protocol error nobody knows
/// what is, and the connection is of no further use.
#[derive(Debug)]
pub struct Connection {
    address: Address,
    stream: TcpStream,
    io_timeout: Duration,
    due: Due,
    /// Whether it lay in a pool before, so that the peer may have closed it meanwhile.
    pub(crate) reused: bool,
    /// Whether the peer sent anything since the last request began.
    pub(crate) heard: bool,
    /// Bytes sent since the last request began.
    pub(crate) sent: u64,
}

/// What the peer still has to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    /// So many bytes of a reply's body, at least one.
    Body(u64),
    /// A reply of which not even the length is known.
    Unknown,
}

impl Connection {
    /// Connects to the first address that accepts, of those `address` resolves to, within
    /// `connect_timeout`.
    ///
    /// # Errors
    /// [`Error::Resolve`] or [`Error::Connect`].
    pub fn connect(address: &Address, config: &ConnectionConfig) -> Result<Connection, Error> {
        let stream = dial_any(address, config)?;
        Ok(Connection {
            address: address.clone(),
            stream,
            io_timeout: config.io_timeout,
            due: Due::Nothing,
            reused: false,
            heard: false,
            sent: 0,
        })
    }

    /// Sends a whole request and returns the body of its reply.
    ///
    /// # Errors
    /// [`Error::Fault`] when the server refused: the connection can be used again, unless a C++
    /// storage has no such file. Any other error, a body of more than `body_max` bytes among them,
    /// makes it unusable, and every later call fails.
    pub fn call(
        &mut self,
        request: &[u8],
        reply_command: u8,
        body_max: usize,
    ) -> Result<Vec<u8>, Error> {
        const DOING: &str = "sending the request";
        if !self.is_usable() {
            return Err(self.io_error(DOING, io::ErrorKind::NotConnected.into()));
        }
        self.begin();
        self.send(request, DOING)?;
        let body_len = self.read_head(reply_command)?;
        self.read_body(body_len, body_max)
    }

    /// The peer, as it was given to [`Connection::connect`].
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether another request may be sent: no reply, and no part of one, is due.
    pub fn is_usable(&self) -> bool {
        self.due == Due::Nothing
    }

    /// Whether it is usable, or would be if a little were [thrown away](Connection::discard).
    pub(crate) fn is_nearly_usable(&self) -> bool {
        self.due != Due::Unknown && self.body_left() <= DISCARD_MAX
    }

    /// Throws away what has come of the body that is due. Tells whether the connection is usable.
    pub(crate) fn discard(&mut self) -> bool {
        if self.is_usable() {
            return true;
        }
        let mut nowhere = [0; DISCARD_STEP];
        while let Due::Body(left) = self.due {
            let len = usize::try_from(left).map_or(DISCARD_STEP, |left| left.min(DISCARD_STEP));
            // Of TCP, TRUNC means that the kernel need not copy (tcp(7)).
            let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
            match recv(&self.stream, &mut nowhere[..len], flags) {
                Ok((_, n)) if n > 0 => self.advance(n as u64),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Ok(_) | Err(_) => self.due = Due::Unknown,
            }
        }
        self.is_usable()
    }

    /// The local end, which is what the peer sees as ours.
    ///
    /// # Errors
    /// What the system says of a socket that was reset.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// The socket, for those who wait for it or move its bytes by themselves.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Takes note that a new request goes out: from here on the connection is out of step.
    pub(crate) fn begin(&mut self) {
        debug_assert!(self.is_usable(), "a reply of {} is still due", self.address);
        self.due = Due::Unknown;
        self.heard = false;
        self.sent = 0;
    }

    /// Sends a part of a request, counting what went out even when it fails.
    pub(crate) fn send(&mut self, mut bytes: &[u8], doing: &'static str) -> Result<(), Error> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return Err(self.io_error(doing, io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    self.sent += n as u64;
                    bytes = &bytes[n..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.io_error(doing, error)),
            }
        }
        Ok(())
    }

    /// Reads the head of a reply and returns the length of its body, which is yet to be read; a
    /// failure is read to its end.
    pub(crate) fn read_head(&mut self, reply_command: u8) -> Result<u64, Error> {
        const DOING: &str = "reading the reply";
        let mut bytes = [0; HEAD_LEN];
        self.read_exact(&mut bytes, DOING)?;
        let head = Head::decode(&bytes);
        if head.command != reply_command {
            return Err(self.protocol_error(ProtocolError::Command {
                actual: head.command,
                expected: reply_command,
            }));
        }
        let Ok(body_len) = u64::try_from(head.body_len) else {
            return Err(self.body_length(head.body_len, "0 or more".to_owned()));
        };
        if head.is_ok() {
            self.due = Due::body(body_len);
            return Ok(body_len);
        }
        Err(self.read_fault(body_len))
    }

    fn read_fault(&mut self, body_len: u64) -> Error {
        self.due = Due::body(body_len);
        let body = match self.read_body(body_len, Fault::BODY_MAX) {
            Ok(body) => body,
            Err(error) => return error,
        };
        match Fault::decode(&body) {
            Ok(mut source) => {
                if is_cpp_not_found(&source) {
                    source.code = ErrorCode::NotFound;
                    // A C++ server closes the connection behind some of its failures.
                    self.due = Due::Unknown;
                }
                Error::Fault {
                    address: self.address.clone(),
                    source,
                }
            }
            Err(error) => self.protocol_error(error.into()),
        }
    }

    /// Reads a body of `body_len` bytes; nothing is allocated on the peer's word alone.
    pub(crate) fn read_body(&mut self, body_len: u64, body_max: usize) -> Result<Vec<u8>, Error> {
        const DOING: &str = "reading the reply";
        if body_len > body_max as u64 {
            let actual = i64::try_from(body_len).unwrap_or(i64::MAX);
            return Err(self.body_length(actual, format!("at most {body_max}")));
        }
        let mut body = Vec::new();
        let mut limited = (&self.stream).take(body_len);
        match limited.read_to_end(&mut body) {
            Ok(n) if n as u64 == body_len => {
                self.advance(body_len);
                Ok(body)
            }
            Ok(_) => Err(self.io_error(DOING, io::ErrorKind::UnexpectedEof.into())),
            Err(error) => Err(self.io_error(DOING, error)),
        }
    }

    /// Reads the next bytes of the body, of which there must be as many.
    pub(crate) fn read_part(&mut self, buf: &mut [u8]) -> Result<(), Error> {
        self.read_exact(buf, "reading the reply")?;
        self.advance(buf.len() as u64);
        Ok(())
    }

    /// Reads what has come of the body, at least one byte unless `buf` is empty.
    pub(crate) fn read_some(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        const DOING: &str = "reading the content";
        let len = usize::try_from(self.body_left()).map_or(buf.len(), |left| left.min(buf.len()));
        loop {
            match self.stream.read(&mut buf[..len]) {
                Ok(0) if len > 0 => {
                    return Err(self.io_error(DOING, io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(n) => {
                    self.advance(n as u64);
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.io_error(DOING, error)),
            }
        }
    }

    /// Takes note that `n` bytes of the body were read, by whom ever.
    ///
    /// # Panics
    /// When that is more than the body has.
    pub(crate) fn advance(&mut self, n: u64) {
        let left = self.body_left();
        assert!(n <= left, "{n} bytes read of {left}");
        self.due = Due::body(left - n);
    }

    /// Bytes of the current reply's body not read yet.
    fn body_left(&self) -> u64 {
        match self.due {
            Due::Body(left) => left,
            Due::Nothing | Due::Unknown => 0,
        }
    }

    /// Whether a read would return at once, be it with bytes or with the end of the connection.
    pub fn is_readable(&self) -> bool {
        let mut fds = [PollFd::new(&self.stream, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut fds, Some(&now)).is_ok_and(|n| n > 0)
    }

    /// Whether `error` means that the peer had closed this connection while it was idle: it broke,
    /// after an earlier use, and nothing was heard. A silent peer is no such case.
    pub(crate) fn is_stale(&self, error: &Error) -> bool {
        self.reused && !self.heard && matches!(error, Error::Io { .. })
    }

    fn read_exact(&mut self, buf: &mut [u8], doing: &'static str) -> Result<(), Error> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.stream.read(&mut buf[filled..]) {
                Ok(0) => return Err(self.io_error(doing, io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => {
                    self.heard = true;
                    filled += n;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.io_error(doing, error)),
            }
        }
        Ok(())
    }

    /// What to say of a connection that somebody else found to be of no use: it ended, or it is
    /// silent.
    pub(crate) fn into_broken(mut self, doing: &'static str) -> Error {
        let kind = if self.is_readable() {
            io::ErrorKind::UnexpectedEof
        } else {
            io::ErrorKind::TimedOut
        };
        self.io_error(doing, kind.into())
    }

    /// Marks the connection as out of step for good.
    pub(crate) fn give_up(&mut self) {
        self.due = Due::Unknown;
    }

    fn io_error(&mut self, doing: &'static str, source: io::Error) -> Error {
        self.due = Due::Unknown;
        let address = self.address.clone();
        if is_timeout(&source) {
            let timeout = self.io_timeout;
            return Error::Timeout {
                address,
                doing,
                timeout,
            };
        }
        Error::Io {
            address,
            doing,
            source,
        }
    }

    /// The error of a body that is not what it should be; the connection is given up.
    pub(crate) fn protocol_error(&mut self, source: ProtocolError) -> Error {
        self.due = Due::Unknown;
        Error::Protocol {
            address: self.address.clone(),
            source,
        }
    }

    pub(crate) fn body_length(&mut self, actual: i64, expected: String) -> Error {
        self.protocol_error(ProtocolError::BodyLength { actual, expected })
    }
}

impl Due {
    fn body(len: u64) -> Due {
        match len {
            0 => Due::Nothing,
            len => Due::Body(len),
        }
    }
}

/// A C++ storage has no kind for a file it does not have: it answers -1 and `[hostname] read
/// database fail, fileid: ID`, as recorded from one (proto/tests/frames.json, filesize and delete).
fn is_cpp_not_found(fault: &Fault) -> bool {
    const TEXT: &str = "read database fail, fileid: ";
    let text = match fault.message.split_once("] ") {
        Some((host, text)) if host.starts_with('[') => text,
        _ => fault.message.as_str(),
    };
    fault.code == ErrorCode::Unknown && text.starts_with(TEXT)
}
