//! One connection to one server. A request is sent after the reply to the previous one was read.

mod proving;
mod reading;

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proto::{Address, HEAD_LEN};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::dial::dial_any;
use crate::error::is_timeout;
use crate::local::{self, DescriptorReceiver};
use crate::time_limits::{RequestLimit, StallDetector, wait};
use crate::{ConnectionConfig, Error, PeerKeys, ProtocolError};

/// Limit on the bytes that are discarded to keep a connection. More would cost more than a new one.
pub(crate) const DISCARD_MAX: u64 = 256 << 10;
/// Bytes that are discarded at a time.
const DISCARD_STEP: usize = 32 << 10;
const SENDING: &str = "sending the request";

/// A connection to a tracker, an idserver or a storage.
///
/// Invariant: no reply is pending exactly if every request was answered and every reply was read to
/// its end. After an i/o error or a protocol error the pending bytes are unknown, and the connection
/// cannot be used again.
#[derive(Debug)]
pub struct Connection {
    address: Address,
    stream: TcpStream,
    /// Present on a Unix socket.
    descriptors: Option<DescriptorReceiver>,
    io_timeout: Duration,
    /// Deadline of the current request.
    limit: RequestLimit,
    /// Measures the current content.
    stall: StallDetector,
    pending: PendingReply,
    /// True if it comes from a pool: the peer may have closed it.
    pub(crate) reused: bool,
    /// True if the peer sent anything since the latest request began.
    pub(crate) heard: bool,
    /// Bytes sent since the latest request began.
    pub(crate) sent: u64,
    /// The settings of a connection that has not proved its key.
    unproved: Option<Box<ConnectionConfig>>,
    /// The keys that the server did not prove, until it answers nevertheless.
    unproved_until_answer: Option<Arc<PeerKeys>>,
    /// Bytes of the reply that [`Connection::read_ahead`] read. No content.
    ahead: Vec<u8>,
    /// The command of the latest request.
    command: u8,
    /// True if the peer answered a command that only servers of this system support.
    is_ours: bool,
}

/// The rest of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PendingReply {
    Nothing,
    /// Bytes of the body, at least one.
    Body(u64),
    /// A reply of unknown length.
    Unknown,
}

impl Connection {
    /// Connects to the first of the resolved addresses that accepts, within `connect_timeout`.
    ///
    /// # Errors
    /// [`Error::Resolve`] or [`Error::Connect`].
    pub fn connect(address: &Address, config: &ConnectionConfig) -> Result<Connection, Error> {
        let stream = dial_any(address, config)?;
        Ok(Connection::new(address, stream, config))
    }

    /// Connects to the Unix socket of the storage at `address`.
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub(crate) fn connect_locally(
        address: &Address,
        path: &Path,
        config: &ConnectionConfig,
    ) -> Result<Connection, Error> {
        let connected = local::connect(path, config.connect_timeout);
        let stream = connected.map_err(|source| Error::Connect {
            address: address.clone(),
            source,
        })?;
        Ok(Connection {
            descriptors: Some(DescriptorReceiver::default()),
            ..Connection::new(address, stream, config)
        })
    }

    fn new(address: &Address, stream: TcpStream, config: &ConnectionConfig) -> Connection {
        Connection {
            address: address.clone(),
            stream,
            descriptors: None,
            io_timeout: config.io_timeout,
            limit: RequestLimit::new(config.io_timeout),
            stall: StallDetector::new(config.io_timeout),
            pending: PendingReply::Nothing,
            reused: false,
            heard: false,
            sent: 0,
            unproved: config.keys.is_some().then(|| Box::new(config.clone())),
            unproved_until_answer: None,
            ahead: Vec::new(),
            command: 0,
            is_ours: false,
        }
    }

    /// The file whose descriptor came with the latest reply.
    pub(crate) fn take_descriptor(&mut self) -> Option<File> {
        self.descriptors.as_mut()?.take()
    }

    /// The error of a descriptor that cannot be used, or of none.
    pub(crate) fn unusable_descriptor(&mut self, text: &str) -> Error {
        self.io_error("receiving the open file", io::Error::other(text.to_owned()))
    }

    /// Sends a whole request and returns the body of its reply, all within `io_timeout`.
    ///
    /// # Errors
    /// [`Error::Fault`] if the server refused: the connection can be used again, unless a C++ storage
    /// has no such file. After any other error, such as a body of more than `body_max` bytes, every
    /// later call fails.
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

    /// The address given to [`Connection::connect`].
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// True if another request may be sent: no part of a reply is pending.
    pub fn is_usable(&self) -> bool {
        self.pending == PendingReply::Nothing
    }

    /// True if it is usable, or will be after [`Connection::discard`].
    pub(crate) fn is_nearly_usable(&self) -> bool {
        self.pending != PendingReply::Unknown && self.body_left() <= DISCARD_MAX
    }

    /// Discards the pending bytes that have arrived. True if the connection is usable.
    pub(crate) fn discard(&mut self) -> bool {
        if self.is_usable() {
            return true;
        }
        let mut nowhere = [0; DISCARD_STEP];
        while let PendingReply::Body(left) = self.pending {
            let len = usize::try_from(left).map_or(DISCARD_STEP, |left| left.min(DISCARD_STEP));
            // With TRUNC the kernel discards bytes of a TCP socket without a copy (tcp(7)).
            let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
            match recv(&self.stream, &mut nowhere[..len], flags) {
                Ok((_, n)) if n > 0 => self.advance(n as u64),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Ok(_) | Err(_) => self.pending = PendingReply::Unknown,
            }
        }
        self.is_usable()
    }

    /// The local address.
    ///
    /// # Errors
    /// The socket was reset.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// The socket, for callers that wait for it or move its bytes themselves.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Begins a request, which must be sent and answered within `limit`. The connection is out of step
    /// until the reply was read.
    pub(crate) fn begin(&mut self, limit: RequestLimit) {
        debug_assert!(self.is_usable(), "a reply of {} is still due", self.address);
        self.pending = PendingReply::Unknown;
        self.heard = false;
        self.sent = 0;
        self.limit = limit;
        self.ahead.clear();
        // A descriptor of an earlier reply is of another file.
        drop(self.take_descriptor());
        self.stall.restart();
    }

    /// Begins a request within `io_timeout`.
    pub(crate) fn begin_long(&mut self) {
        self.begin(RequestLimit::new(self.io_timeout));
    }

    /// Deadline of the current request.
    pub(crate) fn limit(&self) -> RequestLimit {
        self.limit
    }

    /// Restarts the deadline, for the reply to a long request.
    pub(crate) fn restart_limit(&mut self) {
        self.limit = RequestLimit::new(self.io_timeout);
    }

    /// Sends a whole request within the limit, the first one behind the proof of the key. Counts the bytes
    /// sent, also of a failure.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<(), Error> {
        let command = request.get(HEAD_LEN - 2).copied().unwrap_or(0);
        self.prove_key(command)?;
        self.command = command;
        self.send_within_limit(request)
    }

    fn send_within_limit(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.send_all(bytes, SENDING, |connection| {
            wait(&connection.stream, PollFlags::OUT, connection.limit.left())
        })
    }

    /// Sends content, as long as the peer takes it at the minimum rate.
    pub(crate) fn send_content(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.send_all(bytes, "sending the content", |connection| {
            connection.stall.wait(&connection.stream, PollFlags::OUT)
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
                    self.stall.moved(n as u64);
                    bytes = &bytes[n..];
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => wait(self).map_err(|error| self.io_error(doing, error))?,
                Err(error) => return Err(self.io_error(doing, error.into())),
            }
        }
        Ok(())
    }

    /// Records that `n` bytes of the body were read from the socket.
    ///
    /// # Panics
    /// The body has fewer bytes left.
    pub(crate) fn advance(&mut self, n: u64) {
        let left = self.body_left();
        assert!(n <= left, "{n} bytes read of {left}");
        self.stall.moved(n);
        self.pending = PendingReply::body(left - n);
    }

    /// True if the peer is known to be a server of this system. It closes the connection when it cannot
    /// read on, whereas a C++ storage writes a failure reply into the body.
    pub(crate) fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// Unread bytes of the current reply's body.
    pub(crate) fn body_left(&self) -> u64 {
        match self.pending {
            PendingReply::Body(left) => left,
            PendingReply::Nothing | PendingReply::Unknown => 0,
        }
    }

    /// True if a read would return at once, with bytes or the end of the connection.
    pub fn is_readable(&self) -> bool {
        wait(&self.stream, PollFlags::IN, Duration::ZERO).is_ok()
    }

    /// True if `error` means that the peer closed this connection while it was idle: a pooled
    /// connection broke before the peer sent anything. A timeout does not count.
    pub(crate) fn is_stale(&self, error: &Error) -> bool {
        self.reused && !self.heard && matches!(error, Error::Io { .. })
    }

    /// The error of a connection that its user gave up: it ended, or it is silent.
    pub(crate) fn into_broken(mut self, doing: &'static str) -> Error {
        let kind = if self.is_readable() {
            io::ErrorKind::UnexpectedEof
        } else {
            io::ErrorKind::TimedOut
        };
        self.io_error(doing, kind.into())
    }

    /// Marks the connection as unusable.
    pub(crate) fn give_up(&mut self) {
        self.pending = PendingReply::Unknown;
    }

    /// An error while content moved, which has a timeout of its own.
    fn content_error(&mut self, doing: &'static str, source: io::Error) -> Error {
        self.restart_limit();
        self.io_error(doing, source)
    }

    fn io_error(&mut self, doing: &'static str, source: io::Error) -> Error {
        self.pending = PendingReply::Unknown;
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

    /// The error of an invalid reply. The connection cannot be used again.
    pub(crate) fn protocol_error(&mut self, source: ProtocolError) -> Error {
        self.pending = PendingReply::Unknown;
        Error::Protocol {
            address: self.address.clone(),
            source,
        }
    }

    pub(crate) fn body_length(&mut self, actual: impl TryInto<i64>, expected: String) -> Error {
        let actual = actual.try_into().unwrap_or(i64::MAX);
        self.protocol_error(ProtocolError::BodyLength { actual, expected })
    }
}

impl PendingReply {
    fn body(len: u64) -> PendingReply {
        match len {
            0 => PendingReply::Nothing,
            len => PendingReply::Body(len),
        }
    }
}

#[cfg(test)]
mod tests;
