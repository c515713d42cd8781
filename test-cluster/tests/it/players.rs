//! Players of HTTP streams that are easily hurt: they forgive a refused connection, for which they
//! go to the other server, and nothing else.

use std::convert::Infallible;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use crossbeam_channel::never;
use load::Content;

use crate::support::PATIENCE;

/// A slow player takes this much, then waits.
const SIP: usize = 1 << 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Plays one film over and over, on one connection for as long as the server keeps it.
pub struct Player {
    httpds: Vec<SocketAddr>,
    path: String,
    film: Content,
    slow: bool,
    connection: Option<BufReader<TcpStream>>,
    n_connected: usize,
}

impl Player {
    pub fn new(httpds: Vec<SocketAddr>, path: &str, film: Content, slow: bool) -> Player {
        Player {
            httpds,
            path: path.to_owned(),
            film,
            slow,
            connection: None,
            n_connected: 0,
        }
    }

    /// From the request to the last byte.
    pub fn play(&mut self) -> anyhow::Result<()> {
        let reused = self.connection.is_some();
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let of = |what| format!("{what} (reused: {reused})");
        let request = format!("GET {} HTTP/1.1\r\nHost: tnv\r\n\r\n", self.path);
        let asked = connection.get_mut().write_all(request.as_bytes());
        asked.with_context(|| of("asking"))?;
        let (len, keep) = head(&mut connection).with_context(|| of("head"))?;
        ensure!(len == self.film.size(), "{len} bytes announced");
        let mut body = Sips {
            body: (&mut connection).take(len),
            left: if self.slow { SIP } else { usize::MAX },
        };
        self.film.clone().compare(&mut body).context("body")?;
        self.connection = keep.then_some(connection);
        Ok(())
    }

    /// To one server after the other; from one that refuses, to the next.
    fn connect(&mut self) -> anyhow::Result<BufReader<TcpStream>> {
        self.n_connected += 1;
        let n_httpds = self.httpds.len();
        for idx in 0..n_httpds {
            let httpd = self.httpds[(self.n_connected + idx) % n_httpds];
            match TcpStream::connect(httpd) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    return Ok(BufReader::new(stream));
                }
                Err(e) if e.kind() == ErrorKind::ConnectionRefused => {}
                Err(e) => return Err(e).with_context(|| format!("connecting to {httpd}")),
            }
        }
        bail!("every server refused")
    }
}

/// The length of the content, and whether the connection may be used again.
fn head(connection: &mut BufReader<TcpStream>) -> anyhow::Result<(u64, bool)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        ensure!(
            connection.read_line(&mut line)? > 0,
            "closed without an answer"
        );
        if line == "\r\n" {
            break;
        }
        lines.push(line.to_ascii_lowercase());
    }
    ensure!(lines[0].starts_with("http/1.1 200"), "{}", lines[0]);
    let field = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name));
    let len = field("content-length:").context("no length")?.trim();
    let keep = field("connection:").is_none_or(|value| value.trim() != "close");
    Ok((len.parse()?, keep))
}

/// Content that a slow player takes a sip at a time.
struct Sips<R> {
    body: R,
    left: usize,
}

impl<R: Read> Read for Sips<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            // Nobody sends here: it is a pause.
            let Err(_) = never::<Infallible>().recv_timeout(PAUSE);
            self.left = SIP;
        }
        let most = buffer.len().min(self.left);
        let len = self.body.read(&mut buffer[..most])?;
        if self.left != usize::MAX {
            self.left -= len;
        }
        Ok(len)
    }
}
