//! A redis server without persistence, and clients that get one value at a time.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use bench::content::next_random;
use bench::{Content, Meter, OperationResult, Worker};

use super::super::measurement::Measurement;
use super::super::server_process::ServerProcess;
use super::{Round, done, run};
use crate::ports;

const PORT: u16 = 16_379;
const ANSWER: Duration = Duration::from_secs(30);

/// A running redis-server.
pub(in crate::bench) struct Redis {
    process: ServerProcess,
    addr: SocketAddr,
}

impl Redis {
    pub(in crate::bench) fn start(scratch: &Path) -> anyhow::Result<Redis> {
        let addr = ports::free_from(PORT)?;
        let log = scratch.join("redis.log");
        let port = addr.port().to_string();
        let args = [
            "--bind",
            "127.0.0.1",
            "--port",
            &port,
            "--save",
            "",
            "--appendonly",
            "no",
        ];
        let process = ServerProcess::start(Path::new("redis-server"), args, &log)?;
        process.wait_listening(addr)?;
        Ok(Redis { process, addr })
    }

    /// A round of `n_clients` clients that get values of `size` bytes.
    pub(in crate::bench) fn round(
        &self,
        n_clients: usize,
        n_keys: u64,
        size: u64,
        round: Round,
    ) -> anyhow::Result<Measurement> {
        let mut first = RedisClient::connect(self.addr, n_keys, size, 0)?;
        (0..n_keys).try_for_each(|key| first.set(key))?;
        let client = |idx| RedisClient::connect(self.addr, n_keys, size, idx);
        let clients = (0..n_clients as u64).map(client);
        let clients = clients.collect::<io::Result<Vec<_>>>()?;
        run(clients, &[self.process.pid()], round)
    }
}

/// A client that sends GET, reads the value and compares it.
struct RedisClient {
    stream: TcpStream,
    n_keys: u64,
    size: u64,
    random: u64,
    request: Vec<u8>,
    reply: Vec<u8>,
}

impl RedisClient {
    fn connect(addr: SocketAddr, n_keys: u64, size: u64, seed: u64) -> io::Result<RedisClient> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER))?;
        let head = format!("${size}\r\n");
        Ok(RedisClient {
            stream,
            n_keys,
            size,
            random: seed,
            request: Vec::new(),
            reply: vec![0; head.len() + size as usize + 2],
        })
    }

    fn content(&self, key: u64) -> Content {
        Content::new(key, self.size)
    }

    fn name(&self, key: u64) -> String {
        format!("{}-{key:06}", self.size)
    }

    fn set(&mut self, key: u64) -> io::Result<()> {
        let name = self.name(key);
        let (len, size) = (name.len(), self.size);
        let mut request =
            format!("*3\r\n$3\r\nSET\r\n${len}\r\n{name}\r\n${size}\r\n").into_bytes();
        self.content(key).read_to_end(&mut request)?;
        request.extend_from_slice(b"\r\n");
        self.stream.write_all(&request)?;
        let mut reply = [0; 5];
        self.stream.read_exact(&mut reply)?;
        if &reply != b"+OK\r\n" {
            return Err(io::Error::other("redis refuses a value"));
        }
        Ok(())
    }

    fn get(&mut self) -> io::Result<()> {
        let key = next_random(&mut self.random) % self.n_keys;
        let name = self.name(key);
        self.request.clear();
        write!(
            self.request,
            "*2\r\n$3\r\nGET\r\n${}\r\n{name}\r\n",
            name.len()
        )?;
        self.stream.write_all(&self.request)?;
        self.stream.read_exact(&mut self.reply)?;
        let from = self.reply.len() - 2 - self.size as usize;
        let value = &self.reply[from..self.reply.len() - 2];
        self.content(key).check(value)
    }
}

impl Worker for RedisClient {
    fn step(&mut self, meter: &Meter) -> OperationResult {
        let begun = Instant::now();
        let result = self.get();
        meter.add(self.size);
        done(begun, result)
    }
}
