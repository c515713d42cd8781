//! Sends a reply as far as the peer takes it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::observer::{Sent, Tally};
use super::pipe::Pipe;
use super::protocol::{Outgoing, Part, Then};
use super::source::Source;
use super::starvation::Starvation;
use super::unsent::{UnsentHold, UnsentLimit};
use super::wait::{Interest, is_writable, ready};

/// One sendfile call moves at most this much, so that a stop or a stalled peer is noticed.
const SENDFILE_STEP: u64 = 2 << 20;
/// Read from a source at once.
const STREAM_STEP: usize = 128 << 10;
/// So much of a reply fits into the buffers of a peer that waits for it.
const AT_FIRST: u64 = 32 << 10;
/// After this much, or this long, a worker looks whether others wait.
const TURN: u64 = 8 << 20;
const TURN_TIME: Duration = Duration::from_millis(50);

pub(crate) struct Sending {
    parts: VecDeque<Part>,
    /// How much of the first part is out, if that is bytes.
    start: usize,
    pub(crate) then: Then,
    report: Option<Box<dyn FnOnce(Sent) + Send>>,
    tally: Option<Tally>,
    sent: u64,
    complete: bool,
    starvation: Starvation,
    /// What it holds in memory while it waits.
    held: Option<UnsentHold>,
}

/// What a worker lends to whatever it sends.
pub(crate) struct Tools<'a> {
    pub(crate) scratch: &'a mut [u8],
    pub(crate) pipe: &'a mut Pipe,
    /// Most that is taken off a source at once.
    pub(crate) at_once: u64,
    /// How long to stay with a peer or a source that is not ready.
    pub(crate) patience: &'a dyn Fn() -> Duration,
    /// How long the peer was waited for.
    pub(crate) waited: Duration,
}

impl Tools<'_> {
    /// Waits for the peer to take more.
    fn wait_for(&mut self, peer: &TcpStream) -> bool {
        let began = Instant::now();
        let is_ready = ready(peer, Interest::Write, (self.patience)());
        self.waited += began.elapsed();
        is_ready
    }
}

/// How far it went. In each case bytes may have moved.
pub(crate) enum Progress {
    Done,
    Blocked,
    /// The server that the content comes from has sent nothing more yet.
    Starved,
    /// Could go on, but has had its turn.
    Turn,
}

impl Sending {
    pub(crate) fn new(outgoing: Outgoing) -> Sending {
        Sending {
            parts: outgoing.parts.into(),
            start: 0,
            then: outgoing.then,
            report: outgoing.report,
            tally: outgoing.tally,
            sent: 0,
            complete: false,
            starvation: Starvation::default(),
            held: None,
        }
    }

    /// Counts what the reply holds in memory; false when that is too much with all others.
    pub(crate) fn hold(&mut self, limit: &Arc<UnsentLimit>) -> bool {
        self.held = None;
        let held = limit.hold(&self.parts);
        let is_held = held.is_some();
        self.held = held;
        is_held
    }

    /// Bytes that went out so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends until all is out, the peer takes no more, or the turn is over.
    ///
    /// # Errors
    /// The peer is gone, or a part could not be had in full.
    pub(crate) fn advance(
        &mut self,
        stream: &TcpStream,
        tools: &mut Tools<'_>,
    ) -> Result<Progress, SendError> {
        let turn_end = self.sent + TURN;
        let began = Instant::now();
        while let Some(part) = self.parts.front() {
            if part.len() == self.start as u64 {
                self.parts.pop_front();
                self.start = 0;
                continue;
            }
            if self.sent >= turn_end || began.elapsed() >= TURN_TIME {
                return Ok(Progress::Turn);
            }
            match self.step(stream, tools) {
                Ok(Moved::Bytes(len)) => self.sent += len,
                Ok(Moved::Starved) => {
                    self.starvation.begin_wait();
                    return Ok(Progress::Starved);
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

    /// One system call's worth of the first part.
    fn step(&mut self, stream: &TcpStream, tools: &mut Tools<'_>) -> Result<Moved, SendError> {
        let last = self.parts.len() == 1;
        let Some(part) = self.parts.front_mut() else {
            return Ok(Moved::Bytes(0));
        };
        match part {
            Part::Bytes(bytes) => send_from(stream, bytes, &mut self.start, flags(last)),
            Part::Shared(bytes) => send_from(stream, bytes, &mut self.start, flags(last)),
            Part::File { file, offset, len } => {
                let step = (*len).min(SENDFILE_STEP) as usize;
                let mut moved = Ok(0);
                file.visit(&mut |file| moved = sendfile(stream, file, Some(offset), step))
                    .map_err(SendError::Source)?;
                let moved = match moved.map_err(of_sendfile) {
                    Ok(0) => Err(short("file", *len)),
                    moved => moved,
                };
                if let Err(SendError::Source(e)) = &moved {
                    file.cannot_read(*offset, e);
                }
                let moved = moved?;
                *len -= moved as u64;
                Ok(Moved::Bytes(moved as u64))
            }
            // Nothing is taken off a source, or asked of it, that would only wait here. Who asks has
            // taken what it got before, so that the beginning of a reply finds room.
            Part::Stream { .. }
                if self.sent >= AT_FIRST && !is_writable(stream).map_err(SendError::Peer)? =>
            {
                self.starvation.end_wait();
                Err(SendError::Peer(ErrorKind::WouldBlock.into()))
            }
            Part::Stream { source, .. } => {
                // A blocking socket would hold the worker, whoever else waits for it.
                if let Some(socket) = source.socket() {
                    if !ready(socket, Interest::Source, (tools.patience)()) {
                        return Ok(Moved::Starved);
                    }
                    self.starvation.end_wait();
                    if self.starvation.is_over(source.patience()) {
                        self.abandon_source();
                        return Ok(Moved::Bytes(0));
                    }
                }
                if source.socket().is_some() && source.may_splice() {
                    self.splice(stream, tools, last)
                } else {
                    self.copy(stream, tools.scratch, last)
                }
            }
        }
    }

    /// Moves what the source's socket has to the peer's, within the kernel.
    fn splice(
        &mut self,
        stream: &TcpStream,
        tools: &mut Tools<'_>,
        last: bool,
    ) -> Result<Moved, SendError> {
        let Some(Part::Stream { source, len }) = self.parts.front_mut() else {
            return Ok(Moved::Bytes(0));
        };
        let Some(socket) = source.socket() else {
            return Ok(Moved::Bytes(0));
        };
        let taken = match take(source.as_ref(), socket, tools, *len) {
            Ok(taken) if taken > 0 => taken,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(Moved::Bytes(0));
            }
            // The source knows better what this means, and where to go on.
            _ => {
                source.abandon_socket();
                return Ok(Moved::Bytes(0));
            }
        };
        self.starvation.moved(taken as u64, source.patience());
        source.taken(taken);
        *len -= taken as u64;
        if source.inspects()
            && let Err(e) = source.inspect(&tools.scratch[..taken])
        {
            tools.pipe.discard();
            return Err(SendError::Source(e));
        }
        let more = !last || *len > 0;
        self.drain(stream, tools, more)
    }

    /// Empties the pipe: into the peer's socket, or back to the front as a part of its own.
    fn drain(
        &mut self,
        stream: &TcpStream,
        tools: &mut Tools<'_>,
        more: bool,
    ) -> Result<Moved, SendError> {
        let mut sent = 0;
        while !tools.pipe.is_empty() {
            match tools.pipe.drain(stream, more) {
                Ok(len) => sent += len as u64,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if tools.wait_for(stream) => {}
                Err(Errno::AGAIN) => {
                    let rest = tools.pipe.take_rest().map_err(SendError::Source)?;
                    self.parts.push_front(Part::Bytes(rest));
                }
                Err(e) => {
                    tools.pipe.discard();
                    return Err(of_peer(e));
                }
            }
        }
        Ok(Moved::Bytes(sent))
    }

    /// Reads from the source, which may have to go elsewhere for it, and sends that.
    fn copy(
        &mut self,
        stream: &TcpStream,
        scratch: &mut [u8],
        last: bool,
    ) -> Result<Moved, SendError> {
        let Some(Part::Stream { source, len }) = self.parts.front_mut() else {
            return Ok(Moved::Bytes(0));
        };
        let room = scratch.len().min(STREAM_STEP) as u64;
        let room = room.min(*len) as usize;
        let read = match source.read(&mut scratch[..room]) {
            Ok(0) => return Err(short("stream", *len)),
            Ok(read) => read,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Moved::Starved),
            Err(e) => return Err(SendError::Source(e)),
        };
        self.starvation.moved(read as u64, source.patience());
        *len -= read as u64;
        let last = last && *len == 0;
        self.send_or_keep(stream, &scratch[..read], flags(last))
            .map(Moved::Bytes)
    }

    /// The source whose bytes are due, if they come from a socket.
    pub(crate) fn source_socket(&self) -> Option<&TcpStream> {
        match self.parts.front() {
            Some(Part::Stream { source, .. }) => source.socket(),
            _ => None,
        }
    }

    /// Until when a source that sends nothing, or cannot be read now, is waited for.
    pub(crate) fn starved_until(&self) -> Option<Instant> {
        match self.parts.front() {
            Some(Part::Stream { source, .. }) => self.starvation.until(source.patience()),
            _ => None,
        }
    }

    /// Has a source that was silent for too long look for another server.
    pub(crate) fn abandon_source(&mut self) {
        self.starvation = Starvation::default();
        if let Some(Part::Stream { source, .. }) = self.parts.front_mut() {
            source.abandon_socket();
        }
    }

    /// Sends bytes that have left their reader already: what the peer does not take goes back to
    /// the front as a part of its own.
    fn send_or_keep(
        &mut self,
        stream: &TcpStream,
        bytes: &[u8],
        flags: SendFlags,
    ) -> Result<u64, SendError> {
        let sent = match send(stream, bytes, flags) {
            Ok(len) => len,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(e) => return Err(of_peer(e)),
        };
        if sent < bytes.len() {
            self.parts.push_front(Part::Bytes(bytes[sent..].to_vec()));
        }
        Ok(sent as u64)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let sent = Sent {
            bytes: self.sent,
            complete: self.complete,
        };
        if let Some(tally) = self.tally.take() {
            tally.end(sent);
        }
        if let Some(report) = self.report.take() {
            report(sent);
        }
    }
}

/// What one step did.
enum Moved {
    Bytes(u64),
    /// The source has nothing yet.
    Starved,
}

/// Why a reply could not be sent to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The peer went away: everyday life.
    #[error("{0}")]
    Peer(io::Error),
    /// What was to be sent could not be had: our fault.
    #[error("{0}")]
    Source(io::Error),
}

impl Part {
    fn len(&self) -> u64 {
        match self {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::Shared(bytes) => bytes.len() as u64,
            Part::File { len, .. } | Part::Stream { len, .. } => *len,
        }
    }
}

/// Takes bytes off the socket of a source into the pipe; 0 at the end of its stream. What the source
/// inspects is at the start of the scratch buffer, too: a look into the socket costs one copy, and a
/// read that is sent on costs two.
fn take(
    source: &dyn Source,
    socket: &TcpStream,
    tools: &mut Tools<'_>,
    len: u64,
) -> io::Result<usize> {
    let at_once = len.min(tools.at_once);
    if !source.inspects() {
        return tools.pipe.fill(socket, at_once);
    }
    let room = at_once.min(tools.scratch.len() as u64) as usize;
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let (seen, _) = recv(socket, &mut tools.scratch[..room], flags)?;
    tools.pipe.fill(socket, seen as u64)
}

/// Sends what the peer takes of the bytes from `start` on, and moves `start` behind it.
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

/// When more is about to follow the kernel may wait to fill a packet.
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

/// sendfile does not say which side failed; these are the socket's.
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
