//! The bytes of an answer: a whole file, a stretch of it, or several.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::Duration;

use client::{Client, Download, Error};
use daemon::net::{Part, Source};
use proto::FileKey;

use crate::entity::Entity;
use crate::range::Stretch;

/// What is asked for at once: who jumps through a film takes no more, and what is left of so little
/// is thrown away for the connection to the storage.
pub(crate) const FIRST_PIECE: u64 = Download::DISCARD_MAX;

/// A file that is read in pieces, each of which is to be of the same content.
pub(crate) struct Origin<'a> {
    pub(crate) client: &'a Client,
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
                self.client.read_range(self.key, offset, Some(len))?
            }
        };
        let first_len = first.remaining();
        let mut parts = vec![Part::Stream {
            source: Box::new(Sent(first)),
            len: first_len,
        }];
        if first_len < len {
            parts.push(self.later(Stretch {
                offset: offset + first_len,
                len: len - first_len,
            }));
        }
        Ok(parts)
    }

    /// Several stretches as `multipart/byteranges` (RFC 9110, 14.6): the parts and their length.
    pub(crate) fn multipart(&self, stretches: &[Stretch], frame: &Frame<'_>) -> (Vec<Part>, u64) {
        let mut parts = Vec::new();
        let mut len = 0;
        for (idx, &stretch) in stretches.iter().enumerate() {
            let head = frame.head(idx, stretch);
            len += head.len() as u64 + stretch.len;
            parts.push(Part::Bytes(head));
            parts.push(self.later(stretch));
        }
        let end = format!("\r\n--{}--\r\n", frame.boundary).into_bytes();
        len += end.len() as u64;
        parts.push(Part::Bytes(end));
        (parts, len)
    }

    /// A stretch that is asked for when its turn comes: a connection to a storage would only wait
    /// till then.
    fn later(&self, stretch: Stretch) -> Part {
        let later = Later {
            client: self.client.clone(),
            key: self.key.clone(),
            entity: self.entity.clone(),
            stretch,
            download: None,
        };
        Part::Stream {
            source: Box::new(later),
            len: stretch.len,
        }
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
struct Sent(Download);

impl Source for Sent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    fn socket(&self) -> Option<&TcpStream> {
        self.0.stream()
    }

    fn taken(&mut self, len: usize) {
        self.0.advance(len as u64);
    }

    fn abandon_socket(&mut self) {
        self.0.abandon_stream();
    }

    fn patience(&self) -> Duration {
        self.0.io_timeout()
    }
}

/// A stretch that is asked for at the first read.
struct Later {
    client: Client,
    key: FileKey,
    entity: Entity,
    stretch: Stretch,
    download: Option<Sent>,
}

impl Later {
    fn open(&self) -> io::Result<Sent> {
        let Stretch { offset, len } = self.stretch;
        let (stat, download) = self.client.open(&self.key, self.stretch.span())?;
        let same = self.entity.may_be(&stat.into());
        if same && (download.offset(), download.remaining()) == (offset, len) {
            Ok(Sent(download))
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
