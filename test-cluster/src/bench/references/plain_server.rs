//! The plainest servers for content, and their clients. The sender sends files with sendfile, the sink
//! writes content to files.
//!
//! A request to the sender is a name of 64 bytes, padded with NULs; the reply is the whole file. A
//! request to the sink is a length of 8 bytes and the content; the reply is one byte.

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
/// Limit on the bytes of one sendfile call.
const SEND_MAX: usize = 1 << 30;
/// Bytes of one write.
const WRITE_LEN: usize = 512 << 10;

/// The kind of a plain server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PlainServer {
    /// Sends files of its folder.
    Sender,
    /// Writes files into its folder.
    Sink,
    /// Like `Sink`, but reserves the space of a file first.
    ReservingSink,
}

/// Serves until the process is killed, with one thread per connection.
///
/// # Errors
/// The address is in use.
pub fn serve(what: PlainServer, addr: SocketAddr, folder: &Path) -> anyhow::Result<()> {
    let listener = TcpListener::bind(addr).with_context(|| format!("cannot listen on {addr}"))?;
    for stream in listener.incoming() {
        let (stream, folder) = (stream?, folder.to_owned());
        thread::spawn(move || {
            // An error closes the connection, and the client reports it.
            let _ = match what {
                PlainServer::Sender => send_files(stream, &folder),
                PlainServer::Sink => write_files(stream, &folder, false),
                PlainServer::ReservingSink => write_files(stream, &folder, true),
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

/// Removes the files of a sink.
pub(in crate::bench) fn empty(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

/// A client of the sender, which compares the content.
pub(in crate::bench) struct PlainDownloader {
    stream: TcpStream,
    files: Vec<Listed>,
    random: u64,
    buffer: Vec<u8>,
}

impl PlainDownloader {
    pub(in crate::bench) fn new(
        addr: SocketAddr,
        files: &[Listed],
        seed: u64,
    ) -> io::Result<PlainDownloader> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        Ok(PlainDownloader {
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

impl Worker for PlainDownloader {
    fn step(&mut self, meter: &Meter) -> OperationResult {
        let begun = Instant::now();
        done(begun, self.get(meter))
    }
}

/// A client of the sink, for files of one size.
pub(in crate::bench) struct PlainUploader {
    stream: TcpStream,
    size: u64,
    seed: u64,
    buffer: Vec<u8>,
}

impl PlainUploader {
    pub(in crate::bench) fn new(
        addr: SocketAddr,
        size: u64,
        seed: u64,
    ) -> io::Result<PlainUploader> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        Ok(PlainUploader {
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

impl Worker for PlainUploader {
    fn step(&mut self, meter: &Meter) -> OperationResult {
        let begun = Instant::now();
        done(begun, self.put(meter))
    }
}

/// The folder of a server.
pub(in crate::bench) fn folder_of(what: PlainServer, scratch: &Path) -> PathBuf {
    scratch.join(format!("{what:?}").to_lowercase())
}
