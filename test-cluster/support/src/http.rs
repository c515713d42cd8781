//! An HTTP client. [`get`] and [`open`] return errors; the methods of [`Browser`], a persistent
//! connection, panic.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::PATIENCE;

/// A connection to an HTTP server.
#[derive(Debug)]
pub struct Browser(TcpStream);

/// An answer, its header names in lower case.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Such as 206.
    pub status: u16,
    /// Names and values of the header fields.
    pub fields: Vec<(String, String)>,
    /// The content that was read.
    pub body: Vec<u8>,
}

/// The content of an answer, read piece by piece. An early end is an error.
#[derive(Debug)]
pub struct Body {
    stream: TcpStream,
    left: u64,
}

/// One GET of a path on a connection of its own.
///
/// # Panics
/// No complete answer within a minute.
pub fn page(addr: SocketAddr, path: &str) -> Answer {
    browse(addr).ask("GET", path, &[])
}

/// A new connection.
///
/// # Panics
/// The server does not listen.
pub fn browse(addr: SocketAddr) -> Browser {
    Browser::connect(addr, PATIENCE).expect("a connection")
}

/// Gets `http://ADDR/PATH`, or a `range` of it (`bytes=0-99`). No status is an error. `patience` limits
/// each wait.
///
/// # Errors
/// No answer, or an incomplete one.
pub fn get(url: &str, range: Option<&str>, patience: Duration) -> anyhow::Result<Answer> {
    let (mut answer, mut body) = open(url, range, patience)?;
    body.read_to_end(&mut answer.body)
        .with_context(|| format!("{url} breaks off after {} bytes", answer.body.len()))?;
    Ok(answer)
}

/// Like [`get`], but the caller reads the content.
///
/// # Errors
/// No answer.
pub fn open(url: &str, range: Option<&str>, patience: Duration) -> anyhow::Result<(Answer, Body)> {
    let rest = url.strip_prefix("http://").context("an HTTP URL")?;
    let (addr, path) = rest.split_at(rest.find('/').context("a path")?);
    let ask = || -> anyhow::Result<(Answer, Body)> {
        let mut browser = Browser::connect(addr.parse()?, patience)?;
        let range: Vec<_> = range.map(|range| ("Range", range)).into_iter().collect();
        browser.try_send("GET", path, &range)?;
        let answer = browser.try_begin_answer()?;
        let left = answer
            .field("content-length")
            .context("a length")?
            .parse()?;
        let stream = browser.0;
        Ok((answer, Body { stream, left }))
    };
    ask().with_context(|| format!("GET {url}"))
}

impl Answer {
    /// Parses a head and what follows it.
    ///
    /// # Errors
    /// The head is incomplete or malformed.
    pub fn parse(bytes: &[u8]) -> anyhow::Result<Answer> {
        let end = bytes.windows(4).position(|end| end == b"\r\n\r\n");
        let (head, body) = bytes.split_at(end.context("the end of a head")?);
        let mut lines = std::str::from_utf8(head)?.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let field = |line: &str| -> anyhow::Result<(String, String)> {
            let (name, value) = line.split_once(": ").context("a header field")?;
            Ok((name.to_lowercase(), value.to_owned()))
        };
        Ok(Answer {
            status: status.context("a status")?.parse()?,
            fields: lines.map(field).collect::<anyhow::Result<_>>()?,
            body: body[4..].to_vec(),
        })
    }

    /// The value of a header field.
    ///
    /// # Panics
    /// The field is there twice.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(n, _)| n == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} twice");
        value
    }

    /// The content as text.
    ///
    /// # Panics
    /// It is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

impl Browser {
    /// Connects. `patience` limits each wait for the server.
    ///
    /// # Errors
    /// The server does not listen.
    pub fn connect(addr: SocketAddr, patience: Duration) -> io::Result<Browser> {
        let stream = TcpStream::connect_timeout(&addr, patience)?;
        stream.set_read_timeout(Some(patience))?;
        Ok(Browser(stream))
    }

    /// Sends a request and receives the answer.
    ///
    /// # Panics
    /// As [`Browser::send`] and [`Browser::answer`].
    pub fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(method, path, fields);
        self.answer(method)
    }

    /// Sends a request.
    ///
    /// # Panics
    /// The connection is closed.
    pub fn send(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) {
        self.try_send(method, path, fields).expect("a connection");
    }

    fn try_send(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> io::Result<()> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n");
        for (name, value) in fields {
            request += &format!("{name}: {value}\r\n");
        }
        self.0.write_all((request + "\r\n").as_bytes())
    }

    /// Requests a file and reads up to `len` bytes of the answer, including its head.
    ///
    /// # Panics
    /// The connection breaks.
    pub fn glance(mut self, path: &str, len: u64) -> Vec<u8> {
        self.send("GET", path, &[]);
        self.up_to(len)
    }

    /// Reads until the server closes the connection.
    ///
    /// # Panics
    /// The connection breaks.
    pub fn rest(self) -> Vec<u8> {
        self.up_to(u64::MAX)
    }

    fn up_to(self, len: u64) -> Vec<u8> {
        let mut read = Vec::new();
        self.0.take(len).read_to_end(&mut read).expect("bytes");
        read
    }

    /// Receives the answer to a request.
    ///
    /// # Panics
    /// It is incomplete, or has no length.
    pub fn answer(&mut self, method: &str) -> Answer {
        let mut answer = self.begin_answer();
        let len = answer.field("content-length").expect("a length").parse();
        if method != "HEAD" && answer.status != 304 {
            answer.body = self.read(len.expect("a number"));
        }
        answer
    }

    /// Reads the next bytes of a body.
    ///
    /// # Panics
    /// The connection breaks.
    pub fn read(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.read_exact(&mut bytes).expect("the body");
        bytes
    }

    /// Receives the head of an answer.
    ///
    /// # Panics
    /// It is incomplete.
    pub fn begin_answer(&mut self) -> Answer {
        self.try_begin_answer().expect("the head of an answer")
    }

    fn try_begin_answer(&mut self) -> anyhow::Result<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let answer = Answer::parse(&head)?;
        ensure!(answer.field("transfer-encoding").is_none(), "it is chunked");
        Ok(answer)
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A read of zero bytes waits until the timeout of the socket.
        if self.left == 0 {
            return Ok(0);
        }
        let len = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let n = self.stream.read(&mut buffer[..len])?;
        if n == 0 && len > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n as u64;
        Ok(n)
    }
}
