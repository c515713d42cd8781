//! One connection to one server: one request, one reply, in turn.

mod reading;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use proto::{Address, HEAD_LEN};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::dial::dial_any;
use crate::error::is_timeout;
use crate::wait::{Limit, Pace, wait};
use crate::{ConnectionConfig, Error, ProtocolError};

/// Most bytes that are thrown away for a connection: more cost more than a new one.
pub(crate) const DISCARD_MAX: u64 = 256 << 10;
/// Thrown away at once.
const DISCARD_STEP: usize = 32 << 10;
const SENDING: &str = "sending the request";

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
    /// Of the request in progress.
    limit: Limit,
    /// Of the content in progress.
    pace: Pace,
    due: Due,
    /// Whether it lay in a pool before, so that the peer may have closed it meanwhile.
    pub(crate) reused: bool,
    /// Whether the peer sent anything since the last request began.
    pub(crate) heard: bool,
    /// Bytes sent since the last request began.
    pub(crate) sent: u64,
    /// Bytes of the reply that were read before it was asked for: no content.
    ahead: Vec<u8>,
    /// The command of the last request.
    command: u8,
    /// Whether the peer answered a command that only servers of this system know.
    is_ours: bool,
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
            limit: Limit::new(config.io_timeout),
            pace: Pace::new(config.io_timeout),
            due: Due::Nothing,
            reused: false,
            heard: false,
            sent: 0,
            ahead: Vec::new(),
            command: 0,
            is_ours: false,
        })
    }

    /// Sends a whole request and returns the body of its reply, all within `io_timeout`.
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
        if !self.is_usable() {
            return Err(self.io_error(SENDING, io::ErrorKind::NotConnected.into()));
        }
        self.begin_long();
        self.send(request)?;
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

    /// Takes note that a new request goes out, which is to be sent and answered within `limit`:
    /// from here on the connection is out of step.
    pub(crate) fn begin(&mut self, limit: Limit) {
        debug_assert!(self.is_usable(), "a reply of {} is still due", self.address);
        self.due = Due::Unknown;
        self.heard = false;
        self.sent = 0;
        self.limit = limit;
        self.ahead.clear();
        self.pace.restart();
    }

    /// The same for a request that has `io_timeout`.
    pub(crate) fn begin_long(&mut self) {
        self.begin(Limit::new(self.io_timeout));
    }

    /// How long the request in progress may still take.
    pub(crate) fn limit(&self) -> Limit {
        self.limit
    }

    /// Has the reply come within `io_timeout` from now on: the request was long.
    pub(crate) fn restart_limit(&mut self) {
        self.limit = Limit::new(self.io_timeout);
    }

    /// Sends a whole request within the limit, counting what went out even when it fails.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<(), Error> {
        self.command = request.get(HEAD_LEN - 2).copied().unwrap_or(0);
        self.send_all(request, SENDING, |connection| {
            wait(&connection.stream, PollFlags::OUT, connection.limit.left())
        })
    }

    /// Sends a part of a long request for as long as the peer takes it at the least rate.
    pub(crate) fn send_content(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.send_all(bytes, "sending the content", |connection| {
            connection.pace.wait(&connection.stream, PollFlags::OUT)
        })
    }

    fn send_all(
        &mut self,
        mut bytes: &[u8],
        doing: &'static str,
        wait: impl Fn(&mut Connection) -> io::Result<()>,
    ) -> Result<(), Error> {
        while !bytes.is_empty() {
            match send(
                &self.stream,
                bytes,
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            ) {
                Ok(0) => return Err(self.io_error(doing, io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    self.sent += n as u64;
                    self.pace.moved(n as u64);
                    bytes = &bytes[n..];
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => wait(self).map_err(|error| self.io_error(doing, error))?,
                Err(error) => return Err(self.io_error(doing, error.into())),
            }
        }
        Ok(())
    }

    /// Takes note that `n` bytes of the body were read, by whom ever.
    ///
    /// # Panics
    /// When that is more than the body has.
    pub(crate) fn advance(&mut self, n: u64) {
        let left = self.body_left();
        assert!(n <= left, "{n} bytes read of {left}");
        self.pace.moved(n);
        self.due = Due::body(left - n);
    }

    /// Whether the peer is known to be a server of this system, which breaks a body off by closing
    /// the connection. A C++ storage writes a failure into the body.
    pub(crate) fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// Bytes of the current reply's body not read yet.
    pub(crate) fn body_left(&self) -> u64 {
        match self.due {
            Due::Body(left) => left,
            Due::Nothing | Due::Unknown => 0,
        }
    }

    /// Whether a read would return at once, be it with bytes or with the end of the connection.
    pub fn is_readable(&self) -> bool {
        wait(&self.stream, PollFlags::IN, Duration::ZERO).is_ok()
    }

    /// Whether `error` means that the peer had closed this connection while it was idle: it broke,
    /// after an earlier use, and nothing was heard. A silent peer is no such case.
    pub(crate) fn is_stale(&self, error: &Error) -> bool {
        self.reused && !self.heard && matches!(error, Error::Io { .. })
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

    /// The error of content, whose time-out is not that of its request.
    fn content_error(&mut self, doing: &'static str, source: io::Error) -> Error {
        self.restart_limit();
        self.io_error(doing, source)
    }

    fn io_error(&mut self, doing: &'static str, source: io::Error) -> Error {
        self.due = Due::Unknown;
        let address = self.address.clone();
        if is_timeout(&source) {
            let timeout = self.limit.time;
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
