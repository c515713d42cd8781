//! Moves bytes from one socket to another within the kernel: splice goes through a pipe.

use std::fs::File;
use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// Bytes a pipe should hold. A system that allows less costs more calls.
const SIZE: usize = 1 << 20;

/// A pipe, made when it is first needed, and how much is in it. It is empty between two uses.
#[derive(Default)]
pub(crate) struct Pipe {
    ends: Option<Ends>,
    len: usize,
}

struct Ends {
    /// Not blocking.
    read: File,
    write: OwnedFd,
    /// Takes what nobody wants.
    nowhere: File,
}

impl Pipe {
    /// Takes up to `len` bytes off a socket that has some; 0 at the end of its stream.
    ///
    /// # Errors
    /// The socket broke, or there is no pipe to be had.
    pub(crate) fn fill(&mut self, socket: &TcpStream, len: u64) -> io::Result<usize> {
        let ends = match &self.ends {
            Some(ends) => ends,
            None => self.ends.insert(Ends::open()?),
        };
        let len = len.min(SIZE as u64) as usize;
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let taken = splice(socket, None, &ends.write, None, len, flags)?;
        self.len += taken;
        Ok(taken)
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sends what the peer takes without waiting; `more` tells that more follows soon.
    ///
    /// # Errors
    /// The peer takes nothing now, or is gone.
    pub(crate) fn drain(&mut self, peer: &TcpStream, more: bool) -> Result<usize, Errno> {
        let Some(ends) = &self.ends else {
            return Ok(0);
        };
        let mut flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        flags.set(SpliceFlags::MORE, more);
        let sent = splice(&ends.read, None, peer, None, self.len, flags)?;
        self.len -= sent;
        Ok(sent)
    }

    /// Takes out what is left, for a peer that takes nothing now.
    pub(crate) fn take_rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = vec![0; self.len];
        if let Some(ends) = &mut self.ends {
            ends.read.read_exact(&mut rest)?;
        }
        self.len = 0;
        Ok(rest)
    }

    /// Throws away what is left.
    pub(crate) fn discard(&mut self) {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        while let Some(ends) = self.ends.as_ref().filter(|_| self.len > 0) {
            match splice(&ends.read, None, &ends.nowhere, None, self.len, flags) {
                Ok(gone) if gone > 0 => self.len -= gone,
                // A new one is empty.
                _ => *self = Pipe::default(),
            }
        }
    }
}

impl Ends {
    fn open() -> io::Result<Ends> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // More than an unprivileged process may have: it goes on with less.
        let _ = fcntl_setpipe_size(&write, SIZE);
        Ok(Ends {
            read: read.into(),
            write,
            nowhere: File::options().write(true).open("/dev/null")?,
        })
    }
}
