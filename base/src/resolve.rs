//! Host names to socket addresses, against a deadline.
//!
//! The system's resolver (getaddrinfo) takes no deadline: a name server that does not answer holds
//! its caller for 10 s and more. So each name is looked up on a thread of its own, and the caller
//! waits for it until its deadline. The thread ends when the system's resolver returns; nothing
//! joins it. Callers that ask for one name at the same time share one lookup, and at most
//! [`LOOKUPS_MAX`] lookups run in a process, so that a dead name server costs a bounded number of
//! threads.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Condvar, Mutex, MutexGuard};

/// Most lookups that run at a time in one process.
pub const LOOKUPS_MAX: usize = 16;

/// The resolver of this process. A static, because the limit on its threads is the process's.
static SYSTEM: Resolver = Resolver::new(system_lookup);

/// The socket addresses of `HOST:PORT`, in the order of the system's resolver; at least one. A
/// numeric address is read at once, whatever the deadline.
///
/// # Errors
/// The error of the system's resolver, or [`io::ErrorKind::TimedOut`] if it does not answer until
/// `deadline`.
pub fn resolve(host_port: &str, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    SYSTEM.resolve(host_port, deadline)
}

/// Whether `HOST:PORT` is numeric, so that no name server is asked for it.
pub fn is_numeric(host_port: &str) -> bool {
    host_port.parse::<SocketAddr>().is_ok() || bracketed(host_port).is_some()
}

/// The address in brackets, with its zone if it has one, and the port.
fn bracketed(host_port: &str) -> Option<(&str, u16)> {
    let (host, port) = host_port.strip_prefix('[')?.split_once("]:")?;
    Some((host, port.parse().ok()?))
}

type Lookup = fn(&str) -> io::Result<Vec<SocketAddr>>;
type Running = BTreeMap<String, Arc<Answer>>;

/// Lookups in progress.
///
/// Invariant: each entry of `running` has one thread, which removes the entry when it ends.
struct Resolver {
    lookup: Lookup,
    running: Mutex<Running>,
    /// Notified when a lookup ends.
    ended: Condvar,
}

/// The result of a lookup, once it has ended.
#[derive(Default)]
struct Answer(OnceLock<Result<Vec<SocketAddr>, Failure>>);

/// An [`io::Error`] that several callers can have.
#[derive(Clone)]
struct Failure(io::ErrorKind, String);

impl Resolver {
    const fn new(lookup: Lookup) -> Resolver {
        Resolver {
            lookup,
            running: Mutex::new(BTreeMap::new()),
            ended: Condvar::new(),
        }
    }

    fn resolve(&'static self, name: &str, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
        if let Ok(addr) = name.parse() {
            return Ok(vec![addr]);
        }
        if let Some(numeric) = bracketed(name) {
            return zoned(numeric);
        }
        let mut running = self.running.lock();
        let answer = self.join_or_start(&mut running, name, deadline)?;
        loop {
            if let Some(found) = answer.0.get() {
                return found.clone().map_err(io::Error::from);
            }
            self.wait(&mut running, deadline)?;
        }
    }

    /// The lookup of this name that runs already, or a new one as soon as fewer than
    /// [`LOOKUPS_MAX`] run.
    fn join_or_start(
        &'static self,
        running: &mut MutexGuard<'_, Running>,
        name: &str,
        deadline: Instant,
    ) -> io::Result<Arc<Answer>> {
        loop {
            if let Some(answer) = running.get(name) {
                return Ok(Arc::clone(answer));
            }
            if running.len() < LOOKUPS_MAX {
                return self.start(running, name);
            }
            self.wait(running, deadline)?;
        }
    }

    fn start(&'static self, running: &mut Running, name: &str) -> io::Result<Arc<Answer>> {
        let answer = Arc::new(Answer::default());
        let (name, result) = (name.to_owned(), Arc::clone(&answer));
        let look = {
            let name = name.clone();
            move || {
                let found = (self.lookup)(&name).map_err(Failure::from);
                let mut running = self.running.lock();
                running.remove(&name);
                // Each lookup sets its answer once.
                let _ = result.0.set(found);
                self.ended.notify_all();
            }
        };
        let thread = std::thread::Builder::new().name("resolve".to_owned());
        thread.spawn(look)?;
        running.insert(name, Arc::clone(&answer));
        Ok(answer)
    }

    /// Waits until some lookup ends.
    fn wait(&self, running: &mut MutexGuard<'_, Running>, deadline: Instant) -> io::Result<()> {
        if self.ended.wait_until(running, deadline).timed_out() {
            let text = "the system's resolver does not answer";
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        Ok(())
    }
}

/// An IPv6 address with the zone that a network interface of this machine gives it (RFC 4007, 11).
/// The system's resolver reads it without asking a name server.
fn zoned(numeric: (&str, u16)) -> io::Result<Vec<SocketAddr>> {
    Ok(numeric.to_socket_addrs()?.collect())
}

fn system_lookup(name: &str) -> io::Result<Vec<SocketAddr>> {
    let addrs: Vec<SocketAddr> = name.to_socket_addrs()?.collect();
    if addrs.is_empty() {
        let text = "the name has no address";
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    Ok(addrs)
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure(error.kind(), error.to_string())
    }
}

impl From<Failure> for io::Error {
    fn from(Failure(kind, text): Failure) -> io::Error {
        io::Error::new(kind, text)
    }
}

#[cfg(test)]
mod tests;
