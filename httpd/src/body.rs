//! The bytes of an answer: a whole file, a stretch of it, or several.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::Duration;

use client::{Client, Download, Error};
use daemon::net::{Part, Source};
use proto::FileKey;

use crate::range::Stretch;

/// A stretch that is asked for at once, so that a file that cannot be had is found out while the
/// answer can still say so; unless it is what was `opened`.
///
/// # Errors
/// No storage sends it.
pub(crate) fn stretch(
    client: &Client,
    key: &FileKey,
    stretch: Stretch,
    opened: Option<Download>,
) -> Result<Part, Error> {
    let Stretch { offset, len } = stretch;
    let fits = |opened: &Download| opened.offset() == offset && opened.remaining() == len;
    let download = match opened.filter(fits) {
        Some(opened) => opened,
        None => client.read_range(key, offset, Some(len))?,
    };
    Ok(Part::Stream {
        source: Box::new(Sent(download)),
        len,
    })
}

/// Several stretches as `multipart/byteranges` (RFC 9110, 14.6): the parts and their length. Each
/// is asked for when its turn comes: a connection to a storage would only wait till then.
pub(crate) fn multipart(
    client: &Client,
    key: &FileKey,
    stretches: &[Stretch],
    frame: &Frame<'_>,
) -> (Vec<Part>, u64) {
    let mut parts = Vec::new();
    let mut len = 0;
    for (idx, &stretch) in stretches.iter().enumerate() {
        let head = frame.head(idx, stretch);
        len += head.len() as u64 + stretch.len;
        parts.push(Part::Bytes(head));
        let later = Later {
            client: client.clone(),
            key: key.clone(),
            stretch,
            download: None,
        };
        parts.push(Part::Stream {
            source: Box::new(later),
            len: stretch.len,
        });
    }
    let end = format!("\r\n--{}--\r\n", frame.boundary).into_bytes();
    len += end.len() as u64;
    parts.push(Part::Bytes(end));
    (parts, len)
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
    stretch: Stretch,
    download: Option<Sent>,
}

impl Source for Later {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let download = match &mut self.download {
            Some(download) => download,
            None => {
                let Stretch { offset, len } = self.stretch;
                let download = self.client.read_range(&self.key, offset, Some(len))?;
                self.download.insert(Sent(download))
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
