//! A server on a free port with a thread for each connection, which calls a closure.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use proto::{Address, HEAD_LEN, Head, Request};

/// Longest wait in a test.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub struct Fake {
    pub address: Address,
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    n_connections: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Fake {
    /// Calls `serve` on a new thread for each connection, with its number from 0 on. The connection
    /// closes when `serve` returns.
    pub fn start(serve: impl Fn(usize, &TcpStream) + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = std::thread::spawn({
            let (shared, serve) = (shared.clone(), Arc::new(serve));
            move || accept_loop(&listener, &shared, &serve)
        });
        Fake {
            address: addr.into(),
            addr,
            shared,
            accepting: Some(accepting),
        }
    }

    /// The address of the listener.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Number of connections so far.
    pub fn n_connections(&self) -> usize {
        self.shared.n_connections.load(Ordering::SeqCst)
    }

    /// Closes all connections, like a server that restarts.
    pub fn close_connections(&self) {
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the accept loop.
        let _ = TcpStream::connect(self.addr);
        self.accepting.take().unwrap().join().unwrap();
        self.close_connections();
        for thread in self.shared.threads.lock().unwrap().drain(..) {
            // A failed assertion in the server fails the test.
            if thread.join().is_err() && !std::thread::panicking() {
                panic!("a fake server failed");
            }
        }
    }
}

fn accept_loop<F>(listener: &TcpListener, shared: &Arc<Shared>, serve: &Arc<F>)
where
    F: Fn(usize, &TcpStream) + Send + Sync + 'static,
{
    loop {
        let (stream, _) = listener.accept().unwrap();
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let number = shared.n_connections.fetch_add(1, Ordering::SeqCst);
        let ours = stream.try_clone().unwrap();
        shared.open.lock().unwrap().push(ours);
        let serve = serve.clone();
        let thread = std::thread::spawn(move || {
            serve(number, &stream);
            // The clone above keeps the connection open.
            let _ = stream.shutdown(Shutdown::Both);
        });
        shared.threads.lock().unwrap().push(thread);
    }
}

/// A server that reads requests and never replies.
pub fn silent<R: Request>() -> Fake {
    Fake::start(|_, stream| while read_request::<R>(stream).is_some() {})
}

/// An address without a listener. All servers of tests are at 127.0.0.1, so none can get this port
/// later.
pub fn dead_address() -> Address {
    let listener = TcpListener::bind("127.0.0.9:0").unwrap();
    listener.local_addr().unwrap().into()
}

/// The next request; None at the end of the connection.
pub fn read_request<R: Request>(mut stream: &TcpStream) -> Option<R> {
    let mut head = [0; HEAD_LEN];
    stream.read_exact(&mut head).ok()?;
    let head = Head::decode(&head);
    let mut fixed = vec![0; R::fixed_len(&head).unwrap()];
    stream.read_exact(&mut fixed).ok()?;
    Some(R::decode(&head, &fixed).unwrap())
}

/// Sends a success. The client may be gone.
pub fn reply(mut stream: &TcpStream, command: u8, body: &[u8]) {
    let head = Head::reply(command, body.len() as u64).encode();
    let _ = stream.write_all(&[&head[..], body].concat());
}

/// Reads until the client closes the connection. Returns the number of bytes.
pub fn drain(mut stream: &TcpStream) -> u64 {
    let mut buffer = [0; 1 << 16];
    let mut n_bytes = 0;
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        n_bytes += n as u64;
    }
    n_bytes
}

/// Sends these bytes one by one, until the client closes.
pub fn drip(mut stream: &TcpStream, bytes: &[u8], pause: Duration) {
    stream.set_read_timeout(Some(pause)).unwrap();
    for byte in bytes {
        // The pause is a read that finds nothing, or the end of the connection.
        match stream.peek(&mut [0]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => return,
        }
        if stream.write_all(&[*byte]).is_err() {
            return;
        }
    }
}
