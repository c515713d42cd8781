//! The bytes of an answer: a whole file, a stretch of it, or several.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, ContentCheck, Download, Error};
use net::{Part, Source};
use proto::FileKey;

use crate::entity::Entity;
use crate::globals::Globals;
use crate::metrics::HttpMetrics;
use crate::range::Stretch;

/// What is asked for at once: who jumps through a film takes no more, and what is left of so little
/// is thrown away for the connection to the storage.
pub(crate) const FIRST_PIECE: u64 = Download::DISCARD_MAX;

/// A file that is read in pieces, each of which is to be of the same content.
pub(crate) struct Origin<'a> {
    pub(crate) globals: &'a Globals,
    pub(crate) key: &'a FileKey,
    pub(crate) entity: &'a Entity,
}

impl Origin<'_> {
    /// A stretch, the beginning of which is asked for at once, so that a file that cannot be had is
    /// found out while the answer can still say so; unless it is what was `opened`.
    ///
    /// # Errors
    /// No storage sends it.
    pub(crate) fn stretch(
        &self,
        stretch: Stretch,
        opened: Option<Download>,
    ) -> Result<Vec<Part>, Error> {
        let Stretch { offset, len } = stretch;
        let fits = |opened: &Download| {
            opened.offset() == offset && (1..=len).contains(&opened.remaining())
        };
        let first = match opened.filter(fits) {
            Some(opened) => opened,
            None => {
                let len = len.min(FIRST_PIECE);
                self.globals
                    .client
                    .read_range(self.key, offset, Some(len))?
            }
        };
        let first_len = first.remaining();
        let first = self.sent(first);
        let rest = Stretch {
            offset: offset + first_len,
            len: len - first_len,
        };
        let source: Box<dyn Source> = match self.entity.checksum {
            _ if rest.len == 0 => Box::new(first),
            Some(checksum) if len == self.entity.size => Box::new(Whole {
                first,
                rest: self.later(rest),
                left: len,
                check: ContentCheck::new(checksum),
            }),
            _ => {
                return Ok(vec![
                    stream(first, first_len),
                    stream(self.later(rest), rest.len),
                ]);
            }
        };
        Ok(vec![Part::Stream { source, len }])
    }

    fn sent(&self, download: Download) -> Sent {
        Sent {
            download,
            metrics: Arc::clone(&self.globals.metrics),
        }
    }

    /// Several stretches as `multipart/byteranges` (RFC 9110, 14.6): the parts and their length.
    pub(crate) fn multipart(&self, stretches: &[Stretch], frame: &Frame<'_>) -> (Vec<Part>, u64) {
        let mut parts = Vec::new();
        let mut len = 0;
        for (idx, &stretch) in stretches.iter().enumerate() {
            let head = frame.head(idx, stretch);
            len += head.len() as u64 + stretch.len;
            parts.push(Part::Bytes(head));
            parts.push(stream(self.later(stretch), stretch.len));
        }
        let end = format!("\r\n--{}--\r\n", frame.boundary).into_bytes();
        len += end.len() as u64;
        parts.push(Part::Bytes(end));
        (parts, len)
    }

    /// A stretch that is asked for when its turn comes: a connection to a storage would only wait
    /// till then.
    fn later(&self, stretch: Stretch) -> Later {
        Later {
            client: self.globals.client.clone(),
            key: self.key.clone(),
            entity: self.entity.clone(),
            metrics: Arc::clone(&self.globals.metrics),
            stretch,
            download: None,
        }
    }
}

fn stream(source: impl Source + 'static, len: u64) -> Part {
    Part::Stream {
        source: Box::new(source),
        len,
    }
}

/// What stands around each part.
pub(crate) struct Frame<'a> {
    pub(crate) boundary: &'a str,
    pub(crate) content_type: &'a str,
    pub(crate) size: u64,
}

impl Frame<'_> {
    fn head(&self, idx: usize, stretch: Stretch) -> Vec<u8> {
        let Frame {
            boundary,
            content_type,
            size,
        } = self;
        let line_end = if idx == 0 { "" } else { "\r\n" };
        let range = content_range(stretch, *size);
        format!(
            "{line_end}--{boundary}\r\nContent-Type: {content_type}\r\n\
             Content-Range: {range}\r\n\r\n"
        )
        .into_bytes()
    }
}

/// The value of a Content-Range field (RFC 9110, 14.4); both ends are inclusive.
pub(crate) fn content_range(stretch: Stretch, size: u64) -> String {
    format!("bytes {}-{}/{size}", stretch.offset, stretch.last())
}

/// A download as the frame sends it on.
struct Sent {
    download: Download,
    metrics: Arc<HttpMetrics>,
}

impl Source for Sent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.download.read_ready(buffer) {
            Ok(Some(n)) => Ok(n),
            Ok(None) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => {
                if let Some(error @ Error::Damaged { .. }) = Error::of_io(&error) {
                    self.metrics.damage.note(error);
                }
                Err(error)
            }
        }
    }

    fn socket(&self) -> Option<&TcpStream> {
        self.download.stream()
    }

    fn may_splice(&self) -> bool {
        self.download.may_take()
    }

    fn taken(&mut self, len: usize) {
        self.download.advance(len as u64);
    }

    fn abandon_socket(&mut self) {
        self.download.abandon_stream();
    }

    fn patience(&self) -> Duration {
        self.download.io_timeout()
    }
}

/// A stretch that is asked for at the first read.
struct Later {
    client: Client,
    key: FileKey,
    entity: Entity,
    metrics: Arc<HttpMetrics>,
    stretch: Stretch,
    download: Option<Sent>,
}

impl Later {
    fn open(&self) -> io::Result<Sent> {
        let Stretch { offset, len } = self.stretch;
        let (stat, download) = self.client.open(&self.key, self.stretch.span())?;
        let same = self.entity.may_be(&stat.into());
        if same && (download.offset(), download.remaining()) == (offset, len) {
            Ok(Sent {
                download,
                metrics: Arc::clone(&self.metrics),
            })
        } else {
            let text = format!("{} was replaced by another file", self.key);
            Err(io::Error::other(text))
        }
    }
}

impl Source for Later {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let download = match &mut self.download {
            Some(download) => download,
            None => {
                let opened = self.open()?;
                self.download.insert(opened)
            }
        };
        download.read(buffer)
    }

    fn socket(&self) -> Option<&TcpStream> {
        self.download.as_ref().and_then(Source::socket)
    }

    fn may_splice(&self) -> bool {
        self.download.as_ref().is_some_and(Source::may_splice)
    }

    fn taken(&mut self, len: usize) {
        if let Some(download) = &mut self.download {
            download.taken(len);
        }
    }

    fn abandon_socket(&mut self) {
        if let Some(download) = &mut self.download {
            download.abandon_socket();
        }
    }

    fn patience(&self) -> Duration {
        self.download
            .as_ref()
            .map_or(Duration::ZERO, Source::patience)
    }
}

/// A whole file, whose last bytes are not sent when its content does not match its checksum: the
/// peer then sees that the answer is not complete. Smaller files are compared by their download.
struct Whole {
    first: Sent,
    rest: Later,
    /// Bytes that were not read yet.
    left: u64,
    check: ContentCheck,
}

impl Whole {
    fn current(&mut self) -> &mut dyn Source {
        if self.first.download.remaining() > 0 {
            &mut self.first
        } else {
            &mut self.rest
        }
    }

    /// The failure of content that is damaged.
    fn damaged(&self) -> io::Error {
        let mut storages = self.first.download.sources().to_vec();
        let rest = self.rest.download.iter();
        storages.extend(rest.flat_map(|rest| rest.download.sources().iter().cloned()));
        storages.sort();
        storages.dedup();
        let error = self.rest.client.note_damaged(&self.rest.key, &storages);
        self.rest.metrics.damage.note(&error);
        error.into()
    }
}

impl Source for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.current().read(buffer)?;
        self.left -= n as u64;
        self.inspect(&buffer[..n])?;
        Ok(n)
    }

    fn socket(&self) -> Option<&TcpStream> {
        if self.first.download.remaining() > 0 {
            self.first.socket()
        } else {
            self.rest.socket()
        }
    }

    fn may_splice(&self) -> bool {
        if self.first.download.remaining() > 0 {
            self.first.may_splice()
        } else {
            self.rest.may_splice()
        }
    }

    fn taken(&mut self, len: usize) {
        self.current().taken(len);
        self.left -= len as u64;
    }

    fn inspects(&self) -> bool {
        true
    }

    fn inspect(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.check.update(bytes);
        if self.left == 0 && !self.check.is_good() {
            return Err(self.damaged());
        }
        Ok(())
    }

    fn abandon_socket(&mut self) {
        self.current().abandon_socket();
    }

    fn patience(&self) -> Duration {
        self.first.patience()
    }
}
