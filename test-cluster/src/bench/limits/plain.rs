//! The plainest servers that move content: one that sends files with sendfile, and one that writes
//! what it gets to a file. Their clients too.
//!
//! A request of the sender is a name of 64 bytes, padded with NULs, and it answers with the whole
//! file; a request of the sink is a length of 8 bytes and the content, and it answers with a byte.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::Context;
use bench::content::next_random;
use bench::{BUFFER_LEN, Content, Meter, OperationResult, Worker};
use rustix::fs::{FallocateFlags, fallocate, sendfile};

use super::{File as Listed, done};

const NAME_LEN: usize = 64;
/// Most that one call sends.
const SEND_MAX: usize = 1 << 30;
/// How much is written at a time.
const WRITE_LEN: usize = 512 << 10;

/// What a plain server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Plain {
    /// Sends files of its folder.
    Sender,
    /// Writes files into its folder.
    Sink,
    /// The same, with their space reserved beforehand.
    ReservingSink,
}

/// Serves until the process is ended, with a thread for each connection.
///
/// # Errors
/// It cannot listen.
pub fn serve(what: Plain, addr: SocketAddr, folder: &Path) -> anyhow::Result<()> {
    let listener = TcpListener::bind(addr).with_context(|| format!("cannot listen on {addr}"))?;
    for stream in listener.incoming() {
        let (stream, folder) = (stream?, folder.to_owned());
        thread::spawn(move || {
            // A client that goes ends it; so does a failure, which the client reports.
            let _ = match what {
                Plain::Sender => send_files(stream, &folder),
                Plain::Sink => write_files(stream, &folder, false),
                Plain::ReservingSink => write_files(stream, &folder, true),
            };
        });
    }
    Ok(())
}

fn send_files(mut stream: TcpStream, folder: &Path) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut name = [0; NAME_LEN];
    loop {
        stream.read_exact(&mut name)?;
        let name = String::from_utf8_lossy(&name);
        let file = File::open(folder.join(name.trim_end_matches('\0')))?;
        let mut left = file.metadata()?.len();
        while left > 0 {
            let len = usize::try_from(left).map_or(SEND_MAX, |left| left.min(SEND_MAX));
            match sendfile(&stream, &file, None, len)? as u64 {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => left -= n,
            }
        }
    }
}

fn write_files(mut stream: TcpStream, folder: &Path, reserves: bool) -> io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; WRITE_LEN];
    loop {
        let mut size = [0; 8];
        stream.read_exact(&mut size)?;
        let mut left = u64::from_le_bytes(size);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{number}"));
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        if reserves {
            fallocate(&file, FallocateFlags::empty(), 0, left)?;
        }
        while left > 0 {
            let len = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let n = stream.read(&mut buffer[..len])?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            file.write_all(&buffer[..n])?;
            left -= n as u64;
        }
        stream.write_all(&[1])?;
    }
}

/// Removes what a sink has written.
pub(in crate::bench) fn empty(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

/// A client of the sender: gets whole files and compares them.
pub(in crate::bench) struct Getter {
    stream: TcpStream,
    files: Vec<Listed>,
    random: u64,
    buffer: Vec<u8>,
}

impl Getter {
    pub(in crate::bench) fn new(
        addr: SocketAddr,
        files: &[Listed],
        seed: u64,
    ) -> io::Result<Getter> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        Ok(Getter {
            stream,
            files: files.to_vec(),
            random: seed,
            buffer: vec![0; BUFFER_LEN],
        })
    }

    fn get(&mut self, meter: &Meter) -> io::Result<()> {
        let idx = next_random(&mut self.random) as usize % self.files.len();
        let file = &self.files[idx];
        let mut name = [0; NAME_LEN];
        name[..file.id.len()].copy_from_slice(file.id.as_bytes());
        self.stream.write_all(&name)?;
        let (mut content, mut left) = (file.content(), file.size);
        while left > 0 {
            let n = self.stream.read(&mut self.buffer)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            content.check(&self.buffer[..n])?;
            meter.add(n as u64);
            left -= n as u64;
        }
        Ok(())
    }
}

impl Worker for Getter {
    fn step(&mut self, meter: &Meter) -> OperationResult {
        let begun = Instant::now();
        done(begun, self.get(meter))
    }
}

/// A client of the sink: stores files of one size.
pub(in crate::bench) struct Putter {
    stream: TcpStream,
    size: u64,
    seed: u64,
    buffer: Vec<u8>,
}

impl Putter {
    pub(in crate::bench) fn new(addr: SocketAddr, size: u64, seed: u64) -> io::Result<Putter> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        Ok(Putter {
            stream,
            size,
            seed,
            buffer: vec![0; WRITE_LEN],
        })
    }

    fn put(&mut self, meter: &Meter) -> io::Result<()> {
        let mut content = Content::new(next_random(&mut self.seed), self.size);
        self.stream.write_all(&self.size.to_le_bytes())?;
        loop {
            let n = content.read(&mut self.buffer)?;
            if n == 0 {
                break;
            }
            self.stream.write_all(&self.buffer[..n])?;
            meter.add(n as u64);
        }
        self.stream.read_exact(&mut [0; 1])
    }
}

impl Worker for Putter {
    fn step(&mut self, meter: &Meter) -> OperationResult {
        let begun = Instant::now();
        done(begun, self.put(meter))
    }
}

/// Where a server of this kind keeps its files.
pub(in crate::bench) fn folder_of(what: Plain, scratch: &Path) -> PathBuf {
    scratch.join(format!("{what:?}").to_lowercase())
}
