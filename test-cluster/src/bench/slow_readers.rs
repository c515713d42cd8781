//! Slow players: many connections to an HTTP server, each with a fixed rate.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bench::Content;
use crossbeam_channel::{Receiver, Sender, bounded};
use socket2::{Domain, Socket, Type};

use super::references::File;

/// Rate of each reader, in bytes per second.
pub(super) const RATE: u64 = 100_000;
/// Reads of each reader per second.
const READS_PER_SECOND: u64 = 10;
/// Receive buffer of each reader in the kernel. Small, because the server has already sent its content.
const RECEIVE_BUFFER: usize = 64 << 10;
/// Longest segment, as on Ethernet. With the 64 KiB segments of the loopback, a thousand connections
/// use up the memory of the kernel for TCP with any server.
const SEGMENT: u32 = 1460;
/// Threads of all readers.
const THREADS: usize = 4;
/// Longest wait for the head of a reply.
const ANSWER: Duration = Duration::from_secs(30);
/// Longest head of a reply.
const HEAD_MAX: usize = 8 << 10;

/// Running readers.
pub(super) struct SlowReaders {
    stop: Option<Sender<()>>,
    threads: Vec<JoinHandle<anyhow::Result<Vec<Reader>>>>,
    begun: Instant,
}

struct Reader {
    stream: TcpStream,
    content: Content,
    read: u64,
}

impl SlowReaders {
    /// Starts `count` readers of one file of an HTTP server, each at another offset.
    pub(super) fn start(
        addr: SocketAddr,
        folder: &str,
        file: &File,
        count: usize,
    ) -> anyhow::Result<SlowReaders> {
        let (stop, stopped) = bounded(0);
        let step = file.size / 2 / count as u64;
        let offsets: Vec<u64> = (0..count as u64).map(|idx| idx * step).collect();
        let mut threads = Vec::new();
        let mut all_open = Vec::new();
        for offsets in offsets.chunks(count.div_ceil(THREADS)) {
            let (offsets, file, stopped) = (offsets.to_vec(), file.clone(), stopped.clone());
            let folder = folder.to_owned();
            let (tell_open, open) = bounded::<()>(0);
            all_open.push(open);
            threads.push(thread::spawn(move || {
                let open = |&offset: &u64| Reader::open(addr, &folder, &file, offset);
                let readers = offsets.iter().map(open).collect::<anyhow::Result<_>>()?;
                drop(tell_open);
                read_slowly(readers, &stopped)
            }));
        }
        for open in all_open {
            // Closed when the readers of a thread are open or have failed; `stop` reports the failure.
            let _ = open.recv();
        }
        Ok(SlowReaders {
            stop: Some(stop),
            threads,
            begun: Instant::now(),
        })
    }

    /// Stops the readers. Returns the number of those that got at least 90 % of their rate.
    pub(super) fn stop(mut self) -> anyhow::Result<usize> {
        let due = RATE as f64 * self.begun.elapsed().as_secs_f64() * 0.9;
        drop(self.stop.take());
        let mut n_served = 0;
        for thread in self.threads {
            let Ok(readers) = thread.join() else {
                bail!("a slow reader panicked");
            };
            let served = |reader: &&Reader| reader.read as f64 >= due;
            n_served += readers?.iter().filter(served).count();
        }
        Ok(n_served)
    }
}

impl Reader {
    /// Requests a file from `offset` to its end, and reads the head of the reply.
    fn open(addr: SocketAddr, folder: &str, file: &File, offset: u64) -> anyhow::Result<Reader> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.set_tcp_mss(SEGMENT)?;
        socket.connect_timeout(&addr.into(), ANSWER)?;
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(ANSWER))?;
        let id = &file.id;
        let request =
            format!("GET {folder}/{id} HTTP/1.1\r\nHost: bench\r\nRange: bytes={offset}-\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            ensure!(head.len() < HEAD_MAX, "the head of a reply has no end");
            stream
                .read_exact(&mut byte)
                .context("no reply to a slow reader")?;
            head.push(byte[0]);
        }
        let is_range = head.starts_with(b"HTTP/1.1 206");
        ensure!(
            is_range,
            "a slow reader is answered {:?}",
            String::from_utf8_lossy(&head)
        );
        stream.set_nonblocking(true)?;
        Ok(Reader {
            stream,
            content: file.content().starting_at(offset),
            read: 0,
        })
    }

    /// Reads up to byte `due`, as far as content is there.
    fn catch_up(&mut self, due: u64, buffer: &mut [u8]) -> anyhow::Result<()> {
        while self.read < due {
            let len = usize::try_from(due - self.read)?.min(buffer.len());
            match self.stream.read(&mut buffer[..len]) {
                Ok(0) => bail!("the server closed on a slow reader"),
                Ok(n) => {
                    self.content.check(&buffer[..n])?;
                    self.read += n as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("a slow reader"),
            }
        }
        Ok(())
    }
}

/// Reads at the rate of the readers until the other end of `stopped` is dropped.
fn read_slowly(mut readers: Vec<Reader>, stopped: &Receiver<()>) -> anyhow::Result<Vec<Reader>> {
    let begun = Instant::now();
    let mut buffer = vec![0; RATE as usize];
    for tick in 1.. {
        let due = tick * RATE / READS_PER_SECOND;
        for reader in &mut readers {
            reader.catch_up(due, &mut buffer)?;
        }
        let next = begun + Duration::from_millis(tick * 1000 / READS_PER_SECOND);
        if stopped.recv_deadline(next) == Err(crossbeam_channel::RecvTimeoutError::Disconnected) {
            break;
        }
    }
    Ok(readers)
}
