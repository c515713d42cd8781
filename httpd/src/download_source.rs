//! The content of a download as a source of the connection. Reads that block a worker count against
//! the limit of the group.

use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Download, Error};
use net::Source;

use crate::limiter::{Limiter, Servers};
use crate::metrics::HttpMetrics;

/// Pause before a read above the limit is tried again.
const PAUSE: Duration = Duration::from_millis(250);
/// Limit on the time that a transfer is above the limit. Its client goes on with a range.
const DELAY_MAX: Duration = Duration::from_secs(30);

/// A download that is sent. The last bytes of a damaged file are not sent: the client then sees that
/// the response is incomplete.
pub(crate) struct DownloadSource {
    pub(crate) download: Download,
    pub(crate) metrics: Arc<HttpMetrics>,
    /// Limits the reads that hold their worker while they open a storage of `servers`.
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) servers: Servers,
    /// Since when the limit delays it.
    pub(crate) delayed_since: Option<Instant>,
}

impl DownloadSource {
    fn read_ready(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.download.read_ready(buffer);
        let read = read.map_err(|error| self.noted(error))?;
        read.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn noted(&self, error: io::Error) -> io::Error {
        if let Some(error @ Error::Damaged { .. }) = Error::of_io(&error) {
            self.metrics.damage.note(error);
        }
        error
    }
}

impl Source for DownloadSource {
    fn visit_file(&mut self, len: u64, act: &mut dyn FnMut(&File, u64)) {
        self.download.visit_file(len, act);
    }

    fn is_local(&self) -> bool {
        self.download.is_local()
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.download.is_local()
            && let Some(read) = self.download.read_file(buffer)
        {
            let read = read.map_err(|error| self.noted(error.into()))?;
            self.metrics.local_bytes.inc_by(read as u64);
            return Ok(read);
        }
        if self.socket().is_some() {
            // This read does not block. If the storage failed, the next one opens another storage.
            let read = self.read_ready(buffer);
            let is_blocked =
                matches!(&read, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
            if !is_blocked || self.socket().is_some() {
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
        self.read_ready(buffer)
    }

    fn socket(&self) -> Option<&TcpStream> {
        self.download.stream()
    }

    fn may_splice(&self) -> bool {
        self.download.may_take()
    }

    fn taken(&mut self, len: usize) {
        if self.is_local() {
            self.metrics.local_bytes.inc_by(len as u64);
        }
        self.download.advance(len as u64);
    }

    fn inspects(&self) -> bool {
        self.download.is_checked()
    }

    fn inspect(&mut self, bytes: &[u8]) -> io::Result<()> {
        let inspected = self.download.inspect(bytes);
        inspected.map_err(|error| self.noted(error.into()))
    }

    fn abandon(&mut self) {
        self.download.abandon();
    }

    fn timeout(&self) -> Duration {
        match self.delayed_since {
            Some(_) if self.socket().is_none() => PAUSE,
            _ => self.download.patience(),
        }
    }
}
