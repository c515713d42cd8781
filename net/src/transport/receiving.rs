//! Takes content in as far as it has come.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::protocol::{Inbox, Outgoing, Receive};
use super::wait::{Interest, read_now, ready};

/// After this much, or this long, a worker looks whether others wait.
const TURN: u64 = 8 << 20;
const TURN_TIME: Duration = Duration::from_millis(50);

/// A peer that sends less than this while a worker waits for it is not waited for again.
const DRIP: u64 = 4 << 10;

pub(crate) struct Receiving {
    remaining: u64,
    sink: Box<dyn Receive>,
    /// The last wait of a worker brought less than [`DRIP`].
    drips: bool,
}

/// How long a worker waits for more content, and how long it did.
struct Stay<'a> {
    patience: &'a dyn Fn() -> Duration,
    left: Duration,
    waited: Duration,
}

impl Stay<'_> {
    /// Waits for the peer; false when it sends nothing in time.
    fn wait(&mut self, stream: &TcpStream) -> bool {
        let began = Instant::now();
        let is_ready = ready(stream, Interest::Read, (self.patience)().min(self.left));
        let waited = began.elapsed();
        self.waited += waited;
        self.left = self.left.saturating_sub(waited);
        is_ready
    }
}

/// How far it went. Bytes may have moved in each case.
pub(crate) enum Progress {
    /// Content that is not there yet.
    Blocked(Receiving),
    /// Could go on, but has had its turn.
    Turn(Receiving),
    /// All there, or refused: the reply.
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

    /// Moves content from the inbox and the socket to the sink, a buffer at a time: the buffer is
    /// filled before it goes on, since few large writes cost far less than many small ones. Waits
    /// up to `patience` for each piece, and in all for one turn, before handing over a buffer that is
    /// not full. Adds what it moved to `moved`, and how long it waited to `waited`.
    ///
    /// # Errors
    /// The peer is gone. Dropping the sink undoes what it did.
    pub(crate) fn advance(
        mut self,
        inbox: &mut Inbox,
        stream: &TcpStream,
        buffer: &mut [u8],
        patience: impl Fn() -> Duration,
        (moved, waited): (&mut u64, &mut Duration),
    ) -> io::Result<Progress> {
        let began = Instant::now();
        let mut stay = Stay {
            patience: &patience,
            left: if self.drips {
                Duration::ZERO
            } else {
                TURN_TIME
            },
            waited: Duration::ZERO,
        };
        loop {
            if self.remaining == 0 {
                return Ok(Progress::Done(self.sink.finish()));
            }
            if *moved >= TURN || (*moved > 0 && began.elapsed() >= TURN_TIME) {
                return Ok(Progress::Turn(self));
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

/// Fills the buffer; tells how far, and whether it ended for want of bytes.
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
