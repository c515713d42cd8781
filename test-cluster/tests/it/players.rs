//! Strict players of HTTP streams. After a refused connection a player asks the other server. After a
//! connection that was closed since its previous answer it repeats the request on a new connection
//! (RFC 9112, 9.3.1), because a server cannot see that a slow player still reads received bytes. Every
//! other failure fails the test.

use std::convert::Infallible;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bench::Content;
use crossbeam_channel::never;

use crate::support::PATIENCE;

/// Bytes that a slow player reads before each pause.
const SIP: usize = 1 << 20;
const PAUSE: Duration = Duration::from_millis(100);

type Stream = BufReader<TcpStream>;

/// Plays one film repeatedly, on one connection as long as the server keeps it.
pub struct Player {
    httpds: Vec<SocketAddr>,
    path: String,
    film: Content,
    slow: bool,
    connection: Option<Stream>,
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

    /// Plays from the request to the last byte.
    pub fn play(&mut self) -> anyhow::Result<()> {
        let used = self.connection.take();
        let answered = match used {
            Some(connection) => self.ask(connection)?,
            None => None,
        };
        let (mut connection, (len, keep)) = match answered {
            Some(answered) => answered,
            None => {
                let new = self.connect()?;
                self.ask(new)?.context("closed without an answer")?
            }
        };
        ensure!(len == self.film.size(), "{len} bytes announced");
        let mut body = Sips {
            body: (&mut connection).take(len),
            left: if self.slow { SIP } else { usize::MAX },
        };
        self.film.clone().compare(&mut body).context("body")?;
        self.connection = keep.then_some(connection);
        Ok(())
    }

    /// The connection and the values of the head; None if the server closed before.
    fn ask(&self, mut connection: Stream) -> anyhow::Result<Option<(Stream, (u64, bool))>> {
        let request = format!("GET {} HTTP/1.1\r\nHost: tnv\r\n\r\n", self.path);
        let asked = connection.get_mut().write_all(request.as_bytes());
        let come = asked.and_then(|()| Ok(connection.fill_buf()?.len()));
        match come {
            Ok(0) => return Ok(None),
            Err(e) if is_closed(&e) => return Ok(None),
            come => come.context("asking")?,
        };
        let head = head(&mut connection).context("head")?;
        Ok(Some((connection, head)))
    }

    /// Connects to the servers in turn, and from a refusing server to the next.
    fn connect(&mut self) -> anyhow::Result<Stream> {
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

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

/// The length of the content, and whether the connection may be used again.
fn head(connection: &mut Stream) -> anyhow::Result<(u64, bool)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        ensure!(connection.read_line(&mut line)? > 0, "closed in the middle");
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

/// Content that a slow player reads with pauses.
struct Sips<R> {
    body: R,
    left: usize,
}

impl<R: Read> Read for Sips<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            // Nothing is ever sent here: a pause.
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
