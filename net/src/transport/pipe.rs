//! Moves bytes from one socket to another within the kernel: splice goes through a pipe.

use std::fs::File;
use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// Wanted capacity of a pipe, in bytes. A smaller one needs more system calls.
const SIZE: usize = 1 << 20;

/// A pipe, made on first use, and the number of bytes in it. It is empty between two uses.
#[derive(Default)]
pub(crate) struct Pipe {
    ends: Option<Ends>,
    len: usize,
}

struct Ends {
    /// Not blocking.
    read: File,
    write: OwnedFd,
    /// /dev/null, for bytes to discard.
    nowhere: File,
}

impl Pipe {
    /// Moves up to `len` bytes from a readable socket into the pipe; 0 at the end of its stream.
    ///
    /// # Errors
    /// The socket broke, or no pipe can be made.
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

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sends as many bytes as the peer takes without waiting; `more` means that more follow soon.
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

    /// Takes out the bytes that the peer does not take now.
    pub(crate) fn take_rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = vec![0; self.len];
        if let Some(ends) = &mut self.ends {
            ends.read.read_exact(&mut rest)?;
        }
        self.len = 0;
        Ok(rest)
    }

    /// Discards the bytes that are left.
    pub(crate) fn discard(&mut self) {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        while let Some(ends) = self.ends.as_ref().filter(|_| self.len > 0) {
            match splice(&ends.read, None, &ends.nowhere, None, self.len, flags) {
                Ok(gone) if gone > 0 => self.len -= gone,
                // A new pipe is empty.
                _ => *self = Pipe::default(),
            }
        }
    }
}

impl Ends {
    fn open() -> io::Result<Ends> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Fails above /proc/sys/fs/pipe-max-size: a smaller pipe works, too.
        let _ = fcntl_setpipe_size(&write, SIZE);
        Ok(Ends {
            read: read.into(),
            write,
            nowhere: File::options().write(true).open("/dev/null")?,
        })
    }
}
