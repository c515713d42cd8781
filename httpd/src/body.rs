//! The bytes of an answer: a whole file, a stretch of it, or several.

use std::io::{self, Read};

use client::{Client, Download, Error};
use daemon::net::Part;
use proto::FileKey;

use crate::range::Stretch;

/// A stretch that is asked for at once, so that a file that cannot be had is found out while the
/// answer can still say so.
///
/// # Errors
/// No storage sends it.
pub(crate) fn stretch(client: &Client, key: &FileKey, stretch: Stretch) -> Result<Part, Error> {
    let download = client.read_range(key, stretch.offset, Some(stretch.len))?;
    Ok(Part::Stream {
        reader: Box::new(download),
        len: stretch.len,
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
        let reader = Later {
            client: client.clone(),
            key: key.clone(),
            stretch,
            download: None,
        };
        parts.push(Part::Stream {
            reader: Box::new(reader),
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

/// A stretch that is asked for at the first read.
struct Later {
    client: Client,
    key: FileKey,
    stretch: Stretch,
    download: Option<Download>,
}

impl Read for Later {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.download.is_none() {
            let Stretch { offset, len } = self.stretch;
            self.download = Some(self.client.read_range(&self.key, offset, Some(len))?);
        }
        self.download
            .as_mut()
            .map_or(Ok(0), |download| download.read(buffer))
    }
}
