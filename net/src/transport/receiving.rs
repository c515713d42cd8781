//! Receives content as far as it is available.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::outgoing::Outgoing;
use super::protocol::{Inbox, Receive};
use super::time_slice::{self, TimeSlice};
use super::wait::{Interest, read_now, ready};

/// If the peer sends less than this during a wait of a worker, the next wait is left to the event loop.
const DRIP: u64 = 4 << 10;

pub(crate) struct Receiving {
    remaining: u64,
    sink: Box<dyn Receive>,
    /// The latest wait brought less than [`DRIP`].
    drips: bool,
}

/// How long a worker may wait for more content, and how long it has waited.
struct Stay<'a> {
    wait_max: &'a dyn Fn() -> Duration,
    left: Duration,
    waited: Duration,
}

impl Stay<'_> {
    /// Waits for the peer; false when it sends nothing in time.
    fn wait(&mut self, stream: &TcpStream) -> bool {
        let began = Instant::now();
        let is_ready = ready(stream, Interest::Read, (self.wait_max)().min(self.left));
        let waited = began.elapsed();
        self.waited += waited;
        self.left = self.left.saturating_sub(waited);
        is_ready
    }
}

/// Result of [`Receiving::advance`]. Bytes may have moved in each case.
pub(crate) enum Progress {
    /// More content has to come.
    Blocked(Receiving),
    /// The time slice is over.
    Yield(Receiving),
    /// The content is complete or refused: the reply.
    Done(Outgoing),
}

impl Receiving {
    pub(crate) fn new(remaining: u64, sink: Box<dyn Receive>) -> Receiving {
        Receiving {
            remaining,
            sink,
            drips: false,
        }
    }

    /// Moves content from the inbox and the socket to the sink. Fills the buffer before each write, since
    /// few large writes cost far less than many small ones: waits up to `wait_max` for each piece, and one
    /// time slice in all, before it writes a partial buffer. Adds the bytes to `moved` and the time spent
    /// waiting to `waited`.
    ///
    /// # Errors
    /// The peer is gone. Dropping the sink undoes what it did.
    pub(crate) fn advance(
        mut self,
        inbox: &mut Inbox,
        stream: &TcpStream,
        buffer: &mut [u8],
        wait_max: impl Fn() -> Duration,
        (moved, waited): (&mut u64, &mut Duration),
    ) -> io::Result<Progress> {
        let slice = TimeSlice::begin();
        let mut stay = Stay {
            wait_max: &wait_max,
            left: if self.drips {
                Duration::ZERO
            } else {
                time_slice::TIME
            },
            waited: Duration::ZERO,
        };
        loop {
            if self.remaining == 0 {
                return Ok(Progress::Done(self.sink.finish()));
            }
            if *moved > 0 && slice.is_over(*moved) {
                return Ok(Progress::Yield(self));
            }
            let (filled, blocked) = fill(inbox, stream, self.window(buffer), &mut stay)?;
            *waited = stay.waited;
            self.remaining -= filled as u64;
            *moved += filled as u64;
            if filled > 0
                && let Err(refusal) = self.sink.take(&buffer[..filled])
            {
                return Ok(Progress::Done(refusal));
            }
            if blocked && self.remaining > 0 {
                self.drips = *moved < DRIP;
                return Ok(Progress::Blocked(self));
            }
        }
    }

    fn window<'b>(&self, buffer: &'b mut [u8]) -> &'b mut [u8] {
        let len = self.remaining.min(buffer.len() as u64) as usize;
        &mut buffer[..len]
    }
}

/// Fills the buffer. Returns the number of bytes, and true if more have to come.
fn fill(
    inbox: &mut Inbox,
    stream: &TcpStream,
    buffer: &mut [u8],
    stay: &mut Stay<'_>,
) -> io::Result<(usize, bool)> {
    let mut filled = inbox.bytes().len().min(buffer.len());
    if filled > 0 {
        buffer[..filled].copy_from_slice(&inbox.bytes()[..filled]);
        inbox.consume(filled);
    }
    while filled < buffer.len() {
        match read_now(stream, &mut buffer[filled..])? {
            Some(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Some(len) => filled += len,
            None if stay.wait(stream) => {}
            None => return Ok((filled, true)),
        }
    }
    Ok((filled, false))
}
