//! Content whose reads count against the limit of its group when they block.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use net::{Part, Source};

use crate::limiter::{Limiter, Servers};

/// Pause before a read above the limit is tried again.
const PAUSE: Duration = Duration::from_millis(250);
/// Limit on the time that a transfer is above the limit. Its client goes on with a range.
const DELAY_MAX: Duration = Duration::from_secs(30);

/// A source whose reads hold their worker while they open a storage.
struct LimitedSource {
    source: Box<dyn Source>,
    limiter: Arc<Limiter>,
    servers: Servers,
    delayed_since: Option<Instant>,
}

/// Limits the sources of all parts.
pub(crate) fn limit(parts: Vec<Part>, limiter: &Arc<Limiter>, servers: &Servers) -> Vec<Part> {
    let limit = |part| match part {
        Part::Stream { source, len } => Part::Stream {
            source: Box::new(LimitedSource {
                source,
                limiter: Arc::clone(limiter),
                servers: servers.clone(),
                delayed_since: None,
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
            // This read does not block. If the storage failed, the next one opens another storage.
            let read = self.source.read(buffer);
            let is_blocked =
                matches!(&read, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
            if !is_blocked || self.source.socket().is_some() {
                return read;
            }
        }
        let Some(_permit) = self.limiter.admit(&self.servers) else {
            let since = *self.delayed_since.get_or_insert_with(Instant::now);
            if since.elapsed() < DELAY_MAX {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let text = "too many transfers wait for the storages of its group";
            return Err(io::Error::other(text));
        };
        self.delayed_since = None;
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

    fn timeout(&self) -> Duration {
        match self.delayed_since {
            Some(_) if self.socket().is_none() => PAUSE,
            _ => self.source.timeout(),
        }
    }
}
