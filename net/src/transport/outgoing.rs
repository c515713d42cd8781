//! Sends a reply as far as the peer takes it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send, sendmsg};

use super::observer::Sent;
use super::part::{OpenFile, Part};
use super::pipe::Pipe;
use super::record::Record;
use super::reply_memory::{ReplyMemory, ReplyMemoryHold};
use super::stall::StallDetector;
use super::time_slice::TimeSlice;
use super::wait::{Interest, ready};

mod stream;

/// Bytes that one sendfile call moves at most, so that a stop or a stalled peer is noticed.
const SENDFILE_STEP: u64 = 2 << 20;

/// The use of the connection after a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Serve the next request.
    Keep,
    /// Half-close, read for a moment (else the kernel would reset the connection and lose the reply), then
    /// close.
    Close,
}

/// A reply, and how far it is sent. Moved from thread to thread: large fields are boxed.
pub struct Outgoing {
    parts: VecDeque<Part>,
    /// Bytes of the first part that are sent, if that part is in memory.
    start: usize,
    pub(crate) then: Then,
    /// Absent if the request is reported already.
    record: Option<Box<Record>>,
    sent: u64,
    /// Bytes that were read from files of [sources](crate::Source).
    local: u64,
    complete: bool,
    stall: StallDetector,
    /// Its share of the memory of parked replies.
    held: Option<Box<ReplyMemoryHold>>,
}

/// Buffers of a worker, and the limits of one call.
pub(crate) struct Tools<'a> {
    pub(crate) scratch: &'a mut [u8],
    pub(crate) pipe: &'a mut Pipe,
    /// Most bytes that are taken off a source in one step.
    pub(crate) take_max: u64,
    /// How long to wait for a peer or a source that is not ready.
    pub(crate) wait_max: &'a dyn Fn() -> Duration,
    /// Time spent waiting for the peer.
    pub(crate) waited: Duration,
}

impl Tools<'_> {
    /// Waits for the peer to take more.
    fn wait_for(&mut self, peer: &TcpStream) -> bool {
        let began = Instant::now();
        let is_ready = ready(peer, Interest::Write, (self.wait_max)());
        self.waited += began.elapsed();
        is_ready
    }
}

/// Result of [`Outgoing::advance`]. Bytes may have moved in each case.
pub(crate) enum Progress {
    Done,
    Blocked,
    /// The source of the content has no bytes yet.
    SourceBlocked,
    /// The time slice is over.
    Yield,
}

impl Outgoing {
    pub(crate) fn new(parts: Vec<Part>, then: Then, record: Option<Record>) -> Outgoing {
        Outgoing {
            parts: parts.into(),
            start: 0,
            then,
            record: record.map(Box::new),
            sent: 0,
            local: 0,
            complete: false,
            stall: StallDetector::default(),
            held: None,
        }
    }

    /// Counts the memory of the reply; false when all parked replies together exceed the limit.
    pub(crate) fn hold(&mut self, limit: &Arc<ReplyMemory>) -> bool {
        self.held = None;
        self.held = limit.hold(&self.parts).map(Box::new);
        self.held.is_some()
    }

    /// Bytes that are sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends until the reply is complete, the peer or the source blocks, or the time slice is over.
    ///
    /// # Errors
    /// The peer is gone, or a part cannot be read to its end.
    pub(crate) fn advance(
        &mut self,
        stream: &TcpStream,
        tools: &mut Tools<'_>,
    ) -> Result<Progress, SendError> {
        let (slice, before) = (TimeSlice::begin(), self.sent);
        while let Some(part) = self.parts.front() {
            if part.len() == self.start as u64 {
                self.parts.pop_front();
                self.start = 0;
                continue;
            }
            if slice.is_over(self.sent - before) {
                return Ok(Progress::Yield);
            }
            match self.step(stream, tools) {
                Ok(Moved::Bytes(len)) => self.sent += len,
                Ok(Moved::SourceBlocked) => {
                    self.stall.begin_wait();
                    return Ok(Progress::SourceBlocked);
                }
                Err(SendError::Peer(e)) if e.kind() == ErrorKind::WouldBlock => {
                    return Ok(Progress::Blocked);
                }
                Err(SendError::Peer(e) | SendError::Source(e))
                    if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.complete = true;
        Ok(Progress::Done)
    }

    /// Sends the first part with one system call.
    fn step(&mut self, stream: &TcpStream, tools: &mut Tools<'_>) -> Result<Moved, SendError> {
        let last = self.parts.len() == 1;
        let Some(part) = self.parts.front_mut() else {
            return Ok(Moved::Bytes(0));
        };
        match part {
            Part::Bytes(bytes) => send_from(stream, bytes, &mut self.start, flags(last)),
            Part::Shared(bytes) => send_from(stream, bytes, &mut self.start, flags(last)),
            Part::WithDescriptor { bytes, file } if self.start == 0 => {
                send_descriptor(stream, bytes, file.as_ref(), &mut self.start)
            }
            Part::WithDescriptor { bytes, .. } => {
                send_from(stream, bytes, &mut self.start, flags(last))
            }
            Part::File { file, offset, len } => send_file(stream, file.as_ref(), offset, len),
            Part::Stream { .. } => self.send_stream(stream, tools, last),
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            record.end(Sent {
                bytes: self.sent,
                local: self.local,
                complete: self.complete,
            });
        }
    }
}

/// Result of one step.
enum Moved {
    Bytes(u64),
    /// The source has no bytes yet.
    SourceBlocked,
}

/// Why a reply is incomplete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The peer went away, which is normal.
    #[error("{0}")]
    Peer(io::Error),
    /// The content cannot be read: a fault of this server.
    #[error("{0}")]
    Source(io::Error),
}

/// Sends bytes from `start` on, as many as the peer takes, and moves `start` behind them.
fn send_from(
    stream: &TcpStream,
    bytes: &[u8],
    start: &mut usize,
    flags: SendFlags,
) -> Result<Moved, SendError> {
    let sent = send(stream, &bytes[*start..], flags).map_err(of_peer)?;
    *start += sent;
    Ok(Moved::Bytes(sent as u64))
}

/// Sends bytes and, with the first of them, a descriptor of a file (unix(7), SCM_RIGHTS). Moves `start` behind
/// the bytes that the peer takes.
fn send_descriptor(
    stream: &TcpStream,
    bytes: &[u8],
    file: &dyn OpenFile,
    start: &mut usize,
) -> Result<Moved, SendError> {
    let mut sent = Ok(0);
    file.visit(&mut |file| {
        let descriptors = [file.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut message = SendAncillaryBuffer::new(&mut space);
        message.push(SendAncillaryMessage::ScmRights(&descriptors));
        let bytes = [IoSlice::new(bytes)];
        sent = sendmsg(stream, &bytes, &mut message, SendFlags::NOSIGNAL);
    })
    .map_err(SendError::Source)?;
    let sent = sent.map_err(of_peer)?;
    *start += sent;
    Ok(Moved::Bytes(sent as u64))
}

/// Sends a step of a file, and moves `offset` and `len` behind it.
fn send_file(
    stream: &TcpStream,
    file: &dyn OpenFile,
    offset: &mut u64,
    len: &mut u64,
) -> Result<Moved, SendError> {
    let step = (*len).min(SENDFILE_STEP) as usize;
    let mut moved = Ok(0);
    file.visit(&mut |file| moved = sendfile(stream, file, Some(offset), step))
        .map_err(SendError::Source)?;
    let moved = match moved.map_err(of_sendfile) {
        Ok(0) => Err(short("file", *len)),
        moved => moved,
    };
    if let Err(SendError::Source(e)) = &moved {
        // The head of the reply was sent: the client is told nothing more.
        let _ = file.cannot_read(*offset, e);
    }
    let moved = moved? as u64;
    *len -= moved;
    Ok(Moved::Bytes(moved))
}

/// Lets the kernel wait for a full packet if more parts follow.
fn flags(last: bool) -> SendFlags {
    if last {
        SendFlags::NOSIGNAL
    } else {
        SendFlags::NOSIGNAL | SendFlags::MORE
    }
}

fn of_peer(errno: Errno) -> SendError {
    SendError::Peer(errno.into())
}

/// sendfile(2) does not tell which side failed; these errors are the socket's.
fn of_sendfile(errno: Errno) -> SendError {
    match errno {
        Errno::AGAIN
        | Errno::INTR
        | Errno::PIPE
        | Errno::CONNRESET
        | Errno::CONNABORTED
        | Errno::NOTCONN
        | Errno::TIMEDOUT
        | Errno::HOSTUNREACH
        | Errno::NETUNREACH => of_peer(errno),
        _ => SendError::Source(errno.into()),
    }
}

fn short(what: &str, missing: u64) -> SendError {
    let text = format!("the {what} ended {missing} bytes early");
    SendError::Source(io::Error::new(ErrorKind::UnexpectedEof, text))
}
