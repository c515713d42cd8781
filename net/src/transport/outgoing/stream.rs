//! Sends content that comes from another server, as it comes.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::time::Instant;

use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::{Moved, Outgoing, SENDFILE_STEP, SendError, Tools, flags, of_peer, of_sendfile, short};
use crate::transport::part::Part;
use crate::transport::source::Source;
use crate::transport::stall::StallDetector;
use crate::transport::wait::{Interest, is_writable, ready};

/// Lowest rate of a source, in bytes per second of waiting for it.
const SOURCE_RATE_MIN: u64 = 1024;
/// Bytes read from a source in one call.
const READ_MAX: usize = 128 << 10;
/// Bytes of a reply that fit into the kernel's buffers of a peer that waits for the reply.
const SENT_UNASKED: u64 = 32 << 10;

impl Outgoing {
    /// Sends what the source of the first part has.
    pub(super) fn send_stream(
        &mut self,
        stream: &TcpStream,
        tools: &mut Tools<'_>,
        last: bool,
    ) -> Result<Moved, SendError> {
        if let Some(moved) = self.send_local(stream) {
            return moved;
        }
        // Bytes taken off the source for a peer that takes none would have to be kept here. The
        // first bytes of a reply always find room: the peer has read the reply before it.
        if self.sent >= SENT_UNASKED && !is_writable(stream).map_err(SendError::Peer)? {
            self.stall.end_wait();
            return Err(SendError::Peer(ErrorKind::WouldBlock.into()));
        }
        let Some(Part::Stream { source, .. }) = self.parts.front() else {
            return Ok(Moved::Bytes(0));
        };
        let Some(socket) = source.socket() else {
            return self.copy(stream, tools.scratch, last);
        };
        // A read of a blocking socket would hold the worker, whatever else waits for it.
        if !ready(socket, Interest::Source, (tools.wait_max)()) {
            return Ok(Moved::SourceBlocked);
        }
        self.stall.end_wait();
        if self.stall.is_over(source.timeout()) {
            self.abandon_source();
            return Ok(Moved::Bytes(0));
        }
        if source.may_splice() {
            self.splice(stream, tools, last)
        } else {
            self.copy(stream, tools.scratch, last)
        }
    }

    /// Sends from the open file of the source, if it has one that can be read now.
    fn send_local(&mut self, stream: &TcpStream) -> Option<Result<Moved, SendError>> {
        let Some(Part::Stream { source, len }) = self.parts.front_mut() else {
            return None;
        };
        let step = (*len).min(SENDFILE_STEP);
        let mut result = None;
        source.visit_file(step, &mut |file, mut offset| {
            result = Some(sendfile(stream, file, Some(&mut offset), step as usize));
        });
        let result = result?;
        self.stall.end_wait();
        match result.map_err(of_sendfile) {
            Err(SendError::Peer(e)) => Some(Err(SendError::Peer(e))),
            // The source continues at another server.
            Ok(0) | Err(SendError::Source(_)) => {
                source.abandon();
                None
            }
            Ok(sent) => {
                source.taken(sent);
                *len -= sent as u64;
                self.local += sent as u64;
                Some(Ok(Moved::Bytes(sent as u64)))
            }
        }
    }

    /// Moves bytes from the source's socket to the peer's, within the kernel.
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
            // The source decides where to continue.
            _ => {
                source.abandon();
                return Ok(Moved::Bytes(0));
            }
        };
        self.stall
            .moved(taken as u64, SOURCE_RATE_MIN, source.timeout());
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

    /// Empties the pipe into the peer's socket. Bytes that the peer does not take become a new first
    /// part.
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

    /// Reads from the source, which may have to connect to another server, and sends the bytes.
    fn copy(
        &mut self,
        stream: &TcpStream,
        scratch: &mut [u8],
        last: bool,
    ) -> Result<Moved, SendError> {
        let Some(Part::Stream { source, len }) = self.parts.front_mut() else {
            return Ok(Moved::Bytes(0));
        };
        let room = scratch.len().min(READ_MAX) as u64;
        let room = room.min(*len) as usize;
        let read = match source.read(&mut scratch[..room]) {
            Ok(0) => return Err(short("stream", *len)),
            Ok(read) => read,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Moved::SourceBlocked),
            Err(e) => return Err(SendError::Source(e)),
        };
        self.stall.end_wait();
        self.stall
            .moved(read as u64, SOURCE_RATE_MIN, source.timeout());
        *len -= read as u64;
        // A read that fails at the file goes on at a server.
        if source.is_local() {
            self.local += read as u64;
        }
        let last = last && *len == 0;
        self.send_or_keep(stream, &scratch[..read], flags(last))
            .map(Moved::Bytes)
    }

    /// The socket of the source that is due.
    pub(crate) fn source_socket(&self) -> Option<&TcpStream> {
        match self.parts.front() {
            Some(Part::Stream { source, .. }) => source.socket(),
            _ => None,
        }
    }

    /// Deadline of a source that sends nothing or cannot be read now.
    pub(crate) fn source_deadline(&self) -> Option<Instant> {
        match self.parts.front() {
            Some(Part::Stream { source, .. }) => self.stall.deadline(source.timeout()),
            _ => None,
        }
    }

    /// Makes a source that timed out connect to another server.
    pub(crate) fn abandon_source(&mut self) {
        self.stall = StallDetector::default();
        if let Some(Part::Stream { source, .. }) = self.parts.front_mut() {
            source.abandon();
        }
    }

    /// Sends bytes that were taken off the source. Bytes that the peer does not take become a new first
    /// part.
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

/// Moves bytes from the socket of a source into the pipe; 0 at the end of its stream. Bytes that the
/// source inspects are copied to the scratch buffer, too: a peek costs one copy, a read and a send two.
fn take(
    source: &dyn Source,
    socket: &TcpStream,
    tools: &mut Tools<'_>,
    len: u64,
) -> io::Result<usize> {
    let take_max = len.min(tools.take_max);
    if !source.inspects() {
        return tools.pipe.fill(socket, take_max);
    }
    let room = take_max.min(tools.scratch.len() as u64) as usize;
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let (seen, _) = recv(socket, &mut tools.scratch[..room], flags)?;
    tools.pipe.fill(socket, seen as u64)
}
