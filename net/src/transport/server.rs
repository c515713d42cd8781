//! Starts and stops the threads of a server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use base::thread::{self, Thread};
use log::{info, warn};

use super::acceptor::Listener;
use super::connection_limit::Connections;
use super::local_port::LocalPort;
use super::observer::NetGauge;
use super::port::Port;
use super::protocol::Protocol;
use super::shared::{Shared, limits};
use super::worker::Worker;
use super::worker_pool::WorkerPool;
use super::{acceptor, event_loop};
use crate::config::ServerConfig;

/// Time for threads to end after the deadline of a stop.
const ABORT_TIME: Duration = Duration::from_secs(2);

/// A server that accepts connections until it is shut down.
pub struct Server {
    name: &'static str,
    addr: SocketAddr,
    control: Box<dyn Control>,
    acceptors: Vec<Thread>,
    threads: Vec<Thread>,
}

/// The operations of [`Server`] on its threads, independent of the protocol.
trait Control: Send + Sync {
    fn accept(&self, name: &str, listener: Listener) -> io::Result<Thread>;
    fn begin_stop(&self);
    fn wake(&self);
    fn wait_empty(&self, deadline: Instant) -> bool;
    fn end(&self);
    fn connections(&self) -> Connections;
    fn reload(&self, config: &ServerConfig);
    fn stop_timeout(&self) -> Duration;
}

impl Server {
    /// Binds `addr` (port 0: any free one) and starts the threads. When this returns, clients are
    /// served.
    ///
    /// # Errors
    /// The address cannot be bound, or the system refuses a thread or a descriptor.
    pub fn start<P: Protocol>(
        name: &'static str,
        addr: SocketAddr,
        config: &ServerConfig,
        protocol: P,
    ) -> io::Result<Server> {
        Server::serve(name, Port::bind(addr)?, config, protocol)
    }

    /// [`Server::start`] on a port that was bound before.
    ///
    /// # Errors
    /// The system refuses a thread or a descriptor, or another process has started to listen on the port.
    pub fn serve<P: Protocol>(
        name: &'static str,
        port: Port,
        config: &ServerConfig,
        protocol: P,
    ) -> io::Result<Server> {
        let addr = port.addr();
        let listener = port.listen()?;
        let shared = Arc::new(Shared::new(config, protocol)?);
        let threads = start_threads(&shared)?;
        let acceptor = shared.accept("accept", Listener::Tcp(listener))?;
        info!("{name} serving on {addr}");
        Ok(Server {
            name,
            addr,
            control: Box::new(shared),
            acceptors: vec![acceptor],
            threads,
        })
    }

    /// Serves processes of this machine at a Unix socket, too.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn serve_locally(&mut self, port: LocalPort) -> io::Result<()> {
        let acceptor = self.control.accept("accept-local", Listener::Local(port))?;
        self.acceptors.push(acceptor);
        Ok(())
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The number of its connections.
    pub fn connections(&self) -> Connections {
        self.control.connections()
    }

    /// Applies `config` as [`ServerConfig::reloaded`] does. Connections above a lowered limit stay open.
    pub fn reload(&self, config: &ServerConfig) {
        self.control.reload(config);
    }

    /// Stops accepting, closes idle connections, waits up to `stop_timeout` for requests in flight,
    /// closes the other connections and joins every thread.
    pub fn shutdown(self) {
        let deadline = Instant::now() + self.control.stop_timeout();
        self.control.begin_stop();
        // The accept threads first accept the backlog; those connections are waited for below.
        let accept_end = Instant::now() + acceptor::BACKLOG_TIME + ABORT_TIME;
        let mut stuck = thread::join_until(self.acceptors, accept_end);
        self.control.wake();
        if !self.control.wait_empty(deadline) {
            warn!(
                "{}: breaking off {} connections",
                self.name,
                self.control.connections().now()
            );
        }
        self.control.end();
        stuck.extend(thread::join_until(
            self.threads,
            Instant::now() + ABORT_TIME,
        ));
        for name in stuck {
            warn!("{}: thread {name} did not end", self.name);
        }
    }
}

fn start_threads<P: Protocol>(shared: &Arc<Shared<P>>) -> io::Result<Vec<Thread>> {
    let mut threads = Vec::new();
    let config = shared.config();
    let pools = [
        (WorkerPool::Slow, "worker", config.workers),
        (WorkerPool::Fast, "fast", config.fast_workers),
    ];
    for (pool, name, count) in pools {
        let workers = NetGauge::Workers(pool);
        shared.observer().changed(workers, count.into());
        for i in 0..count {
            let worker = Worker::new(Arc::clone(shared), pool);
            threads.push(thread::spawn(&format!("{name}-{i}"), move || worker.run())?);
        }
    }
    let parker = Arc::clone(shared);
    threads.push(thread::spawn("park", move || event_loop::run(&parker))?);
    Ok(threads)
}

impl<P: Protocol> Control for Arc<Shared<P>> {
    fn accept(&self, name: &str, listener: Listener) -> io::Result<Thread> {
        let shared = Arc::clone(self);
        thread::spawn(name, move || acceptor::run(&shared, listener))
    }

    fn begin_stop(&self) {
        let _ = self.stop_began.set(Instant::now());
        self.stop.trip();
        // A full counter means that the event is signalled already.
        let _ = rustix::io::write(&self.stop_event, &1u64.to_ne_bytes());
        self.parking.wake();
    }

    fn wake(&self) {
        self.parking.wake();
    }

    fn wait_empty(&self, deadline: Instant) -> bool {
        self.limit.wait_empty(deadline)
    }

    fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.parking.wake();
        let config = self.config();
        for (pool, count) in [
            (WorkerPool::Slow, config.workers),
            (WorkerPool::Fast, config.fast_workers),
        ] {
            self.queue(pool).halt(count);
        }
    }

    fn connections(&self) -> Connections {
        Connections(Arc::clone(&self.limit))
    }

    fn reload(&self, config: &ServerConfig) {
        let mut current = self.config.write();
        *current = current.reloaded(config);
        self.limit.set(limits(&current, &self.protocol));
        self.unsent.set(current.connections_max);
    }

    fn stop_timeout(&self) -> Duration {
        self.config.read().stop_timeout.duration()
    }
}
