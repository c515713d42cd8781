//! The access log of HTTP: the combined format and the seconds the request took.

use std::net::SocketAddr;
use std::thread;
use std::time::{Instant, SystemTime};

use chrono::{DateTime, Local};
use log::{Level, info, log_enabled};

use super::request::Request;
use super::response::status;
use crate::logging::{ACCESS_TARGET, LastSecond, with_second};
use crate::net::Sent;

thread_local! {
    static LAST_SECOND: LastSecond = const { LastSecond::new() };
}

/// One request's line.
pub(super) struct Access(Option<Line>);

struct Line {
    peer: SocketAddr,
    request: String,
    referer: String,
    agent: String,
    began: Instant,
    time: SystemTime,
}

impl Access {
    /// The line of a request that begins now.
    pub(super) fn of(request: &Request) -> Access {
        let quoted = |name: &str| quotable(request.header(name).unwrap_or("-"));
        Access::begin(request.peer, || {
            let Request {
                method,
                target,
                minor_version,
                ..
            } = request;
            let text = quotable(&format!("{method} {target} HTTP/1.{minor_version}"));
            (text, quoted("referer"), quoted("user-agent"))
        })
    }

    /// The line of a request that was not understood.
    pub(super) fn of_refused(peer: SocketAddr) -> Access {
        let unknown = || "-".to_owned();
        Access::begin(peer, || (unknown(), unknown(), unknown()))
    }

    fn begin(peer: SocketAddr, texts: impl FnOnce() -> (String, String, String)) -> Access {
        let wanted = log_enabled!(target: ACCESS_TARGET, Level::Info);
        Access(wanted.then(|| {
            let (request, referer, agent) = texts();
            let (began, time) = (Instant::now(), SystemTime::now());
            Line {
                peer,
                request,
                referer,
                agent,
                began,
                time,
            }
        }))
    }

    /// Writes the line when the answer is out.
    pub(super) fn report(
        mut self,
        status: u16,
        head_len: u64,
    ) -> Option<Box<dyn FnOnce(Sent) + Send>> {
        let line = self.0.take()?;
        Some(Box::new(move |sent: Sent| {
            line.write(status, sent.bytes.saturating_sub(head_len));
        }))
    }
}

impl Drop for Access {
    /// Of a request whose service panicked.
    fn drop(&mut self) {
        if let Some(line) = self.0.take().filter(|_| thread::panicking()) {
            line.write(status::INTERNAL_ERROR, 0);
        }
    }
}

impl Line {
    fn write(&self, status: u16, body: u64) {
        let Line {
            request,
            referer,
            agent,
            ..
        } = self;
        let ip = self.peer.ip();
        let secs = self.began.elapsed().as_secs_f64();
        with_second(&LAST_SECOND, self.time, clock_text, |time| {
            info!(
                target: ACCESS_TARGET,
                "{ip} - - [{time}] \"{request}\" {status} {body} \"{referer}\" \"{agent}\" {secs:.3}"
            );
        });
    }
}

fn clock_text(time: SystemTime) -> String {
    let local = DateTime::<Local>::from(time);
    local.format("%d/%b/%Y:%H:%M:%S %z").to_string()
}

fn quotable(text: &str) -> String {
    text.replace('"', "%22")
}
