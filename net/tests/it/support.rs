//! A small service and handler, and clients that misbehave.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::units::{ByteSize, Period};
use crossbeam_channel::{Receiver, Sender, unbounded};
use net::wire::{Caller, Content, Reply, Service, Wire};
use net::{
    Action, Full, Inbox, NetEvent, NetGauge, Observer, Outgoing, Part, Peer, Protocol, Server,
    ServerConfig, WorkerPool,
};
use proto::storage::{DELETE, Download, StorageRequest, Upload};
use proto::{ErrorCode, Fault, FileKey, HEAD_LEN, Head};
use socket2::{Domain, Socket, Type};

/// The means of a test to observe the calls of a service, and to hold them up.
#[derive(Clone)]
pub struct Probe {
    /// Requests that hold their worker wait for a message here.
    pub gate: (Sender<()>, Receiver<()>),
    /// Told when a request began to wait there, when an UPLOAD of the file "told" was taken, and when
    /// content was dropped unfinished.
    pub events: (Sender<&'static str>, Receiver<&'static str>),
    /// The body that all who ask for the size of the file "list" share.
    pub list: Arc<[u8]>,
}

impl Probe {
    pub fn new() -> Arc<Probe> {
        Arc::new(Probe {
            gate: unbounded(),
            events: unbounded(),
            list: (0..LIST_LEN).map(|at| at as u8).collect(),
        })
    }

    pub fn expect(&self, event: &str) {
        assert_eq!(self.events.1.recv_timeout(PATIENCE).unwrap(), event);
    }
}

/// Longest any of these tests waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// More than the buffers of a connection take of it.
pub const LIST_LEN: usize = 16 << 20;

/// FILESIZE answers how often this connection asked; UPLOAD answers the number of bytes it took;
/// DELETE, and FILESIZE of the file "held", wait for the gate; DOWNLOAD sends a file of zeros, as long
/// as the offset says; STAT panics.
pub struct Toy(pub Arc<Probe>);

impl Service for Toy {
    type Request = StorageRequest;
    type Session = u64;

    fn pool(&self, command: u8) -> WorkerPool {
        if command == DELETE {
            WorkerPool::Slow
        } else {
            WorkerPool::Fast
        }
    }

    fn call(&self, request: StorageRequest, caller: &mut Caller<'_, u64>) -> Result<Reply, Fault> {
        match request {
            StorageRequest::FileSize(key) if key.file.as_str() == "list" => {
                Ok(Reply::Body(vec![Part::Shared(Arc::clone(&self.0.list))]))
            }
            StorageRequest::FileSize(key) if key.file.as_str() == "copy" => {
                Ok(Reply::bytes(self.0.list.to_vec()))
            }
            StorageRequest::FileSize(key) if key.file.as_str() == "held" => self.held(),
            StorageRequest::FileSize(_) => {
                *caller.session += 1;
                Ok(Reply::bytes(caller.session.to_be_bytes().to_vec()))
            }
            StorageRequest::Upload(Upload { key, .. }) if key.file.as_str() == "refused" => {
                Err(Fault::new(ErrorCode::Exists, "refused"))
            }
            StorageRequest::Upload(Upload { key, .. }) => {
                if key.file.as_str() == "told" {
                    self.0.events.0.send("taken").unwrap();
                }
                Ok(Reply::Content(Box::new(Counting {
                    bytes: 0,
                    probe: Some(self.0.clone()),
                })))
            }
            StorageRequest::Delete(_) => self.held(),
            StorageRequest::Download(download) => {
                let mut file = tempfile::tempfile().unwrap();
                file.set_len(download.offset).unwrap();
                if download.key.file.as_str() == "unreadable" {
                    // Open for writing only: each read fails, the content is well.
                    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
                    file = File::options().write(true).open(path).unwrap();
                }
                Ok(Reply::Body(vec![Part::File {
                    file: Box::new(file),
                    offset: 0,
                    len: download.size,
                }]))
            }
            _ => panic!("as the test wants it"),
        }
    }
}

impl Toy {
    /// Holds its worker until the test says so.
    fn held(&self) -> Result<Reply, Fault> {
        self.0.events.0.send("waiting").unwrap();
        self.0.gate.1.recv_timeout(PATIENCE).unwrap();
        Ok(Reply::bytes(Vec::new()))
    }
}

struct Counting {
    bytes: u64,
    probe: Option<Arc<Probe>>,
}

impl Content for Counting {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<u8>, Fault> {
        self.probe = None;
        Ok(self.bytes.to_be_bytes().to_vec())
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        if let Some(probe) = &self.probe {
            let _ = probe.events.0.send("undone");
        }
    }
}

/// Counts what a server tells.
#[derive(Default)]
pub struct Counts {
    events: Mutex<Vec<NetEvent>>,
    levels: Mutex<Vec<(NetGauge, i64)>>,
}

impl Observer for Counts {
    fn event(&self, event: NetEvent) {
        if !matches!(event, NetEvent::Received(_) | NetEvent::Sent(_)) {
            self.events.lock().unwrap().push(event);
        }
    }

    fn changed(&self, level: NetGauge, change: i64) {
        self.levels.lock().unwrap().push((level, change));
    }
}

impl Counts {
    /// How often something has happened.
    pub fn of(&self, event: NetEvent) -> usize {
        let events = self.events.lock().unwrap();
        events.iter().filter(|told| **told == event).count()
    }

    /// How many there are now.
    pub fn now(&self, level: NetGauge) -> i64 {
        let levels = self.levels.lock().unwrap();
        let changes = levels.iter().filter(|(told, _)| *told == level);
        changes.map(|(_, change)| change).sum()
    }

    /// The latest reports of the workers of a pool.
    pub fn is_stuck(&self, pool: WorkerPool) -> bool {
        let told = |event: &NetEvent| match event {
            NetEvent::Stuck(of, is_stuck) => (*of == pool).then_some(*is_stuck),
            _ => None,
        };
        let events = self.events.lock().unwrap();
        events.iter().rev().find_map(told).unwrap_or(false)
    }
}

pub fn config() -> ServerConfig {
    ServerConfig {
        workers: 2,
        fast_workers: 2,
        ..ServerConfig::default()
    }
}

/// A configuration in which everything that is slow is soon too slow.
pub fn impatient() -> ServerConfig {
    ServerConfig {
        head_timeout: Period::from_millis(300),
        idle_timeout: Period::from_millis(300),
        stall_timeout: Period::from_secs(1),
        min_rate: ByteSize::from_kib(1),
        ..config()
    }
}

pub fn start(config: &ServerConfig, probe: &Arc<Probe>) -> Server {
    start_counted(config, probe, &Arc::default())
}

pub fn start_counted(config: &ServerConfig, probe: &Arc<Probe>, counts: &Arc<Counts>) -> Server {
    let protocol = Wire::new(Toy(Arc::clone(probe)), "toy", Arc::clone(counts));
    Server::start("toy", ([127, 0, 0, 1], 0).into(), config, protocol).unwrap()
}

pub fn key(file: &str) -> FileKey {
    FileKey {
        app: "app".parse().unwrap(),
        user: "user".parse().unwrap(),
        file: file.parse().unwrap(),
    }
}

pub fn upload(file: &str, size: u64) -> Vec<u8> {
    let key = key(file);
    StorageRequest::Upload(Upload { key, size }).encode()
}

/// Asks for `size` bytes of a file of `len` zeros.
pub fn download(file: &str, len: u64, size: u64) -> Vec<u8> {
    let key = key(file);
    let offset = len;
    StorageRequest::Download(Download { key, offset, size }).encode()
}

pub fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Connects from another loopback address than the usual one: a client of its own.
pub fn connect_from(ip: [u8; 4], addr: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((ip, 0)).into()).unwrap();
    socket.connect(&addr.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub fn receive(stream: &mut TcpStream) -> (Head, Vec<u8>) {
    let mut head = [0; HEAD_LEN];
    stream.read_exact(&mut head).unwrap();
    let head = Head::decode(&head);
    let mut body = vec![0; head.body_len as usize];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

pub fn fault(stream: &mut TcpStream) -> Fault {
    let (head, body) = receive(stream);
    assert!(!head.is_ok());
    Fault::decode(&body).unwrap()
}

pub fn number(stream: &mut TcpStream) -> u64 {
    let (head, body) = receive(stream);
    assert!(head.is_ok());
    u64::from_be_bytes(body.try_into().unwrap())
}

pub fn ask_size(stream: &mut TcpStream) -> u64 {
    stream
        .write_all(&StorageRequest::FileSize(key("f")).encode())
        .unwrap();
    number(stream)
}

/// The server closed: the end of the stream, or a reset.
pub fn assert_closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => assert!(rest.is_empty(), "{rest:?}"),
        Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset, "{e}"),
    }
}

pub fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Waits for something that happens by itself.
pub fn wait_until(fact: impl Fn() -> bool) {
    test_support::until("it happens", fact);
}

/// Speaks for a [`Toy`]. `look` sees the bytes first; true says that more have to come.
pub struct Watched<F> {
    pub wire: Wire<Toy>,
    pub look: F,
}

type Frame = <Wire<Toy> as Protocol>::Request;

impl<F: Fn(&Inbox) -> bool + Send + Sync + 'static> Protocol for Watched<F> {
    type Session = <Wire<Toy> as Protocol>::Session;

    type Request = Frame;

    const REQUEST_MAX: usize = <Wire<Toy> as Protocol>::REQUEST_MAX;

    fn parse(&self, inbox: &mut Inbox, peer: SocketAddr) -> Option<(Frame, WorkerPool)> {
        if (self.look)(inbox) {
            return None;
        }
        self.wire.parse(inbox, peer)
    }

    fn serve(
        &self,
        frame: Frame,
        session: &mut Self::Session,
        peer: Peer<'_>,
        stopping: bool,
    ) -> Action {
        self.wire.serve(frame, session, peer, stopping)
    }

    fn busy(&self, peer: SocketAddr, frame: Option<&Frame>, full: Full) -> Outgoing {
        self.wire.busy(peer, frame, full)
    }

    fn panicked(&self, session: &Self::Session) -> Outgoing {
        self.wire.panicked(session)
    }

    fn observer(&self) -> &Arc<dyn Observer> {
        self.wire.observer()
    }
}
