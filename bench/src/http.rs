//! A minimal HTTP/1.1 client: GET of a file or a range, on a persistent connection.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use client::{Connection, ConnectionConfig};
use proto::Address;

use crate::failure::{self, UsageError};
use crate::{Content, Failure, Meter};

/// Limit on the header lines of a reply.
const HEADERS_MAX: usize = 64;

/// An HTTP server with the files.
#[derive(Debug, Clone)]
pub(crate) struct HttpServer {
    address: Address,
    /// Without a slash at its end.
    folder: String,
    connection: ConnectionConfig,
}

impl HttpServer {
    /// Parses a URL such as `http://10.0.0.3:8080/files/tnvideo/alice`. `folder` is used if it has none.
    pub(crate) fn parse(
        url: &str,
        folder: &str,
        connection: ConnectionConfig,
    ) -> Result<HttpServer, UsageError> {
        let no_url = || UsageError(format!("{url:?} is no URL such as http://10.0.0.3:8080"));
        let rest = url.strip_prefix("http://").ok_or_else(no_url)?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| {
            let is_digit = |c: char| c.is_ascii_digit();
            !port.is_empty() && port.chars().all(is_digit)
        });
        let host = match has_port {
            true => host.to_owned(),
            false => format!("{host}:80"),
        };
        let path = path.trim_end_matches('/');
        Ok(HttpServer {
            address: host.parse().map_err(|_| no_url())?,
            folder: if path.is_empty() { folder } else { path }.to_owned(),
            connection,
        })
    }
}

/// One thread's connection to the HTTP server.
#[derive(Debug)]
pub(crate) struct HttpClient {
    site: HttpServer,
    connection: Option<Connection>,
    request: Vec<u8>,
}

/// The requested part of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    Whole,
    /// Offset and number of bytes, at least one.
    Range(u64, u64),
    /// All bytes from an offset on. Only the first ones are read.
    Seek(u64),
}

/// The head of a reply.
struct Head {
    status: u16,
    body_len: u64,
    keeps_alive: bool,
    /// Its length in the buffer. Content follows.
    len: usize,
}

impl HttpClient {
    pub(crate) fn new(site: HttpServer) -> HttpClient {
        HttpClient {
            site,
            connection: None,
            request: Vec::new(),
        }
    }

    /// Gets a part of a file and compares it. Returns the time of the first byte of content.
    pub(crate) fn get(
        &mut self,
        id: &str,
        part: Part,
        content: &Content,
        buffer: &mut [u8],
        meter: &Meter,
    ) -> Result<Instant, Failure> {
        let result = self.try_get(id, part, content, buffer, meter);
        if !matches!(result, Ok((_, true))) {
            self.connection = None;
        }
        result.map(|(first_byte, _)| first_byte)
    }

    /// Also returns whether the connection can be used again.
    fn try_get(
        &mut self,
        id: &str,
        part: Part,
        content: &Content,
        buffer: &mut [u8],
        meter: &Meter,
    ) -> Result<(Instant, bool), Failure> {
        let broken = |error: io::Error| failure::of_io(&error);
        let (offset, len) = part.of(content.size());
        self.write_request(id, part);
        let connection = match &self.connection {
            Some(connection) => connection,
            None => self.connection.insert(self.site.connect()?),
        };
        let mut stream = connection.stream();
        stream.write_all(&self.request).map_err(broken)?;
        let (head, mut filled) = read_head(stream, buffer)?;
        head.check(part, len)?;
        let mut content = content.starting_at(offset);
        let mut left = len;
        let mut from = head.len;
        let mut first_byte = Instant::now();
        loop {
            let piece = &buffer[from..filled];
            content.check(piece).map_err(broken)?;
            meter.add(piece.len() as u64);
            if left == len {
                first_byte = Instant::now();
            }
            left = left.saturating_sub(piece.len() as u64);
            if left == 0 {
                return Ok((first_byte, head.keeps_alive));
            }
            if matches!(part, Part::Seek(_)) && left < len {
                return Ok((first_byte, false));
            }
            from = 0;
            let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            filled = read_some(stream, &mut buffer[..wanted])?;
        }
    }

    fn write_request(&mut self, id: &str, part: Part) {
        let HttpServer {
            address, folder, ..
        } = &self.site;
        let request = &mut self.request;
        request.clear();
        // Writing into memory does not fail.
        let _ = write!(request, "GET {folder}/{id} HTTP/1.1\r\nHost: {address}\r\n");
        let _ = match part {
            Part::Whole => Ok(()),
            Part::Range(offset, len) => {
                let last = offset + len - 1;
                write!(request, "Range: bytes={offset}-{last}\r\n")
            }
            Part::Seek(offset) => write!(request, "Range: bytes={offset}-\r\n"),
        };
        request.extend_from_slice(b"\r\n");
    }
}

impl HttpServer {
    fn connect(&self) -> Result<Connection, Failure> {
        Connection::connect(&self.address, &self.connection).map_err(|error| failure::of(&error))
    }
}

impl Part {
    /// Offset and length in a file of `size` bytes.
    fn of(self, size: u64) -> (u64, u64) {
        match self {
            Part::Whole => (0, size),
            Part::Range(offset, len) => (offset, len),
            Part::Seek(offset) => (offset, size - offset),
        }
    }
}

impl Head {
    fn check(&self, part: Part, len: u64) -> Result<(), Failure> {
        let expected = match part {
            Part::Whole => 200,
            _ => 206,
        };
        if self.status != expected {
            return Err(failure::new(
                &format!("status {}", self.status),
                format!(
                    "the HTTP server answers {} instead of {expected}",
                    self.status
                ),
            ));
        }
        if self.body_len != len {
            let message = format!("{} bytes are announced instead of {len}", self.body_len);
            return Err(failure::new(failure::WRONG_BYTES, message));
        }
        Ok(())
    }
}

/// Reads a whole head. Returns it, and the number of filled bytes of the buffer.
fn read_head(stream: &TcpStream, buffer: &mut [u8]) -> Result<(Head, usize), Failure> {
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            return Err(failure::new("protocol", "the head of a reply has no end"));
        }
        filled += read_some(stream, &mut buffer[filled..])?;
        if let Some(head) = parse_head(&buffer[..filled])? {
            return Ok((head, filled));
        }
    }
}

fn parse_head(bytes: &[u8]) -> Result<Option<Head>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let protocol = |message: String| failure::new("protocol", message);
    let len = match response.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(protocol(format!("no reply of HTTP: {error}"))),
    };
    let value = |name: &str| {
        let mut headers = response.headers.iter();
        let header = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    let body_len = value("content-length").and_then(|text| text.trim().parse().ok());
    let closes = value("connection").is_some_and(|text| text.eq_ignore_ascii_case("close"));
    Ok(Some(Head {
        status: response.code.unwrap_or(0),
        body_len: body_len.ok_or_else(|| protocol("a reply of no length".to_owned()))?,
        keeps_alive: !closes && response.version == Some(1),
        len,
    }))
}

/// Reads at least one byte.
fn read_some(mut stream: &TcpStream, buffer: &mut [u8]) -> Result<usize, Failure> {
    loop {
        match stream.read(buffer) {
            Ok(0) => {
                return Err(failure::new(
                    "network",
                    "the HTTP server closed in the middle",
                ));
            }
            Ok(n) => return Ok(n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failure::of_io(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let text =
            b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nConnection: close\r\n\r\nab";
        for end in 0..text.len() - 2 {
            assert!(parse_head(&text[..end]).unwrap().is_none(), "{end}");
        }
        let head = parse_head(text).unwrap().unwrap();
        assert_eq!(
            (head.status, head.body_len, head.len),
            (206, 5, text.len() - 2)
        );
        assert!(!head.keeps_alive);
        assert!(head.check(Part::Range(3, 5), 5).is_ok());
        assert!(head.check(Part::Range(3, 6), 6).is_err());
        assert!(head.check(Part::Whole, 5).is_err());
        assert!(parse_head(b"SSH-2.0\r\n\r\n").is_err());
    }

    #[test]
    fn a_url_names_a_server_and_perhaps_a_folder() {
        let parse = |url| HttpServer::parse(url, "/files/a/u", ConnectionConfig::default());
        let site = parse("http://localhost:8080").unwrap();
        assert_eq!(
            (site.address.to_string().as_str(), site.folder.as_str()),
            ("localhost:8080", "/files/a/u")
        );
        let site = parse("http://localhost/media/").unwrap();
        assert_eq!(
            (site.address.to_string().as_str(), site.folder.as_str()),
            ("localhost:80", "/media")
        );
        assert!(parse("https://localhost").is_err());
        assert!(parse("http://").is_err());
    }
}
