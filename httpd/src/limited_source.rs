//! Content whose storages are looked for within the limit of its group.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use net::{Part, Source};

use crate::limiter::{Limiter, Servers};

/// Time after which a read that the limit held up is tried again.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest time that the limit may hold up a transfer. Its client goes on with a range.
const HELD_UP_MAX: Duration = Duration::from_secs(30);

/// A source each read of which may wait for a storage, and holds its worker meanwhile.
struct LimitedSource {
    source: Box<dyn Source>,
    limiter: Arc<Limiter>,
    servers: Servers,
    held_up: Option<Instant>,
}

/// The same parts, with the reads of their sources limited.
pub(crate) fn limit(parts: Vec<Part>, limiter: &Arc<Limiter>, servers: &Servers) -> Vec<Part> {
    let limit = |part| match part {
        Part::Stream { source, len } => Part::Stream {
            source: Box::new(LimitedSource {
                source,
                limiter: Arc::clone(limiter),
                servers: servers.clone(),
                held_up: None,
            }),
            len,
        },
        other => other,
    };
    parts.into_iter().map(limit).collect()
}

impl Source for LimitedSource {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.source.socket().is_some() {
            // It does not wait.
            return self.source.read(buffer);
        }
        let Some(_permit) = self.limiter.admit(&self.servers) else {
            let since = *self.held_up.get_or_insert_with(Instant::now);
            if since.elapsed() < HELD_UP_MAX {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let text = "too many transfers wait for the storages of its group";
            return Err(io::Error::other(text));
        };
        self.held_up = None;
        self.source.read(buffer)
    }

    fn socket(&self) -> Option<&TcpStream> {
        self.source.socket()
    }

    fn may_splice(&self) -> bool {
        self.source.may_splice()
    }

    fn taken(&mut self, len: usize) {
        self.source.taken(len);
    }

    fn inspects(&self) -> bool {
        self.source.inspects()
    }

    fn inspect(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.source.inspect(bytes)
    }

    fn abandon_socket(&mut self) {
        self.source.abandon_socket();
    }

    fn patience(&self) -> Duration {
        match self.held_up {
            Some(_) if self.socket().is_none() => PAUSE,
            _ => self.source.patience(),
        }
    }
}
