//! The content of a response: a file, one range of it, or several.

use std::sync::Arc;

use client::{ByteRange, Download, Error};
use net::Part;
use proto::FileKey;

use crate::download_source::DownloadSource;
use crate::entity::Entity;
use crate::globals::Globals;
use crate::limiter::{Limiter, Servers};
use crate::range::last_byte;

/// Limit on the first request to a storage, in bytes. A player that seeks takes no more, and the
/// client library discards the rest of a reply this short to keep its connection.
pub(crate) const FIRST_PIECE: u64 = Download::DISCARD_MAX;

/// A file whose content is sent.
pub(crate) struct Content<'a> {
    pub(crate) globals: &'a Globals,
    pub(crate) key: &'a FileKey,
    pub(crate) entity: &'a Entity,
    /// The storages of the file.
    pub(crate) servers: Servers,
    /// Limits the workers that wait for them.
    pub(crate) limiter: &'a Arc<Limiter>,
}

impl Content<'_> {
    /// One range. `opened` is used if it is this range. Else a storage is asked now, while the
    /// response can still be a failure.
    ///
    /// # Errors
    /// No storage sends the range.
    pub(crate) fn range(&self, range: ByteRange, opened: Download) -> Result<Part, Error> {
        if (opened.offset(), opened.remaining()) == (range.offset, range.len) {
            return Ok(self.stream(opened));
        }
        let mut download = self.read_later(range);
        download.connect()?;
        Ok(self.stream(download))
    }

    /// Several ranges as `multipart/byteranges` (RFC 9110, 14.6): the parts and their length. Each
    /// range is requested when its turn comes.
    pub(crate) fn multipart(&self, ranges: &[ByteRange], form: &Multipart<'_>) -> (Vec<Part>, u64) {
        let mut parts = Vec::new();
        let mut len = 0;
        for (idx, &range) in ranges.iter().enumerate() {
            let head = form.head(idx, range);
            len += head.len() as u64 + range.len;
            parts.push(Part::Bytes(head));
            parts.push(self.stream(self.read_later(range)));
        }
        let end = format!("\r\n--{}--\r\n", form.boundary).into_bytes();
        len += end.len() as u64;
        parts.push(Part::Bytes(end));
        (parts, len)
    }

    fn read_later(&self, range: ByteRange) -> Download {
        let client = &self.globals.client;
        client.read_later(self.key, &self.entity.stat, range)
    }

    fn stream(&self, mut download: Download) -> Part {
        download.trust_compared();
        let len = download.remaining();
        let source = Box::new(DownloadSource {
            download,
            metrics: Arc::clone(&self.globals.metrics),
            limiter: Arc::clone(self.limiter),
            servers: self.servers.clone(),
            delayed_since: None,
        });
        Part::Stream { source, len }
    }
}

/// The lines around the parts of a `multipart/byteranges` body.
pub(crate) struct Multipart<'a> {
    pub(crate) boundary: &'a str,
    pub(crate) content_type: &'a str,
    pub(crate) size: u64,
}

impl Multipart<'_> {
    fn head(&self, idx: usize, range: ByteRange) -> Vec<u8> {
        let Multipart {
            boundary,
            content_type,
            size,
        } = self;
        let line_end = if idx == 0 { "" } else { "\r\n" };
        let range = content_range(range, *size);
        format!(
            "{line_end}--{boundary}\r\nContent-Type: {content_type}\r\n\
             Content-Range: {range}\r\n\r\n"
        )
        .into_bytes()
    }
}

/// The value of a Content-Range field (RFC 9110, 14.4); both ends are inclusive.
pub(crate) fn content_range(range: ByteRange, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.offset, last_byte(range))
}
