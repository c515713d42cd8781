//! What is written down of requests: a line each in the access log, and faults of ours in the log.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Instant;

use log::{Level, debug, error, info, log_enabled};
use proto::{ErrorCode, Fault, HEAD_LEN, Request};

use crate::logging::{ACCESS_TARGET, Seldom, timestamp};
use crate::metrics::Tally;
use crate::net::Sent;

/// One request's line in the access log: time, client, command, application, user, file, bytes of
/// content in either direction, status, milliseconds. The status is `ok`, `error-` and the number
/// of the failure, `cut` when the reply did not go out whole, or `aborted` when the client went
/// away before there was one.
pub(super) struct Access {
    peer: SocketAddr,
    /// Absent when nobody writes an access log.
    words: Option<Words>,
    began: Instant,
    received: u64,
    /// Counts the request as aborted, unless a reply takes it over.
    pub(super) tally: Option<Tally>,
}

/// A request, in the columns of the access log and for faults.
struct Words {
    columns: String,
    request: String,
}

/// Writes faults down, in bounds: a database that is away would fill the disk.
#[derive(Default)]
pub(super) struct FaultLog(Seldom<ErrorCode>);

impl Access {
    pub(super) fn begin<R: Request + Display>(
        peer: SocketAddr,
        tally: Tally,
        request: &R,
    ) -> Access {
        Access::of(peer, tally, || Words {
            columns: request.subject().to_string(),
            request: request.to_string(),
        })
    }

    /// Of a command that was not understood.
    pub(super) fn begin_unknown(peer: SocketAddr, tally: Tally, command: u8) -> Access {
        Access::of(peer, tally, || Words {
            columns: format!("command-{command} - - -"),
            request: format!("command-{command}"),
        })
    }

    fn of(peer: SocketAddr, tally: Tally, words: impl FnOnce() -> Words) -> Access {
        let wanted = log_enabled!(target: ACCESS_TARGET, Level::Info) || log_enabled!(Level::Debug);
        Access {
            peer,
            words: wanted.then(words),
            began: Instant::now(),
            received: 0,
            tally: Some(tally),
        }
    }

    /// Takes note of content that came.
    pub(super) fn received(&mut self, bytes: usize) {
        self.received += bytes as u64;
        if let Some(tally) = &mut self.tally {
            tally.receive(bytes as u64);
        }
    }

    pub(super) fn take(&mut self) -> Access {
        Access {
            peer: self.peer,
            words: self.words.take(),
            began: self.began,
            received: self.received,
            tally: self.tally.take(),
        }
    }

    pub(super) fn end(mut self, status: &str) -> Option<Box<dyn FnOnce(Sent) + Send>> {
        let words = self.words.take()?;
        let (ended, status) = (self.take(), status.to_owned());
        Some(Box::new(move |sent: Sent| {
            let status = if sent.complete { &status } else { "cut" };
            let body = sent.bytes.saturating_sub(HEAD_LEN as u64);
            ended.write_line(&words, body, status);
        }))
    }

    fn write_line(&self, words: &Words, sent: u64, status: &str) {
        let time = timestamp(chrono::Utc::now());
        let (ip, bytes) = (self.peer.ip(), self.received + sent);
        let ms = self.began.elapsed().as_secs_f64() * 1e3;
        let columns = &words.columns;
        info!(target: ACCESS_TARGET, "{time} {ip} {columns} {bytes} {status} {ms:.3}");
    }
}

impl Drop for Access {
    /// A client that went away before it was answered.
    fn drop(&mut self) {
        if let Some(words) = self.words.take() {
            self.write_line(&words, 0, "aborted");
        }
    }
}

impl FaultLog {
    /// Our own faults are errors, with their cause; a client's are everyday life.
    pub(super) fn note(&self, access: &Access, fault: &Fault) {
        use ErrorCode::{BadRequest, Busy, Exists, Forbidden, NotFound};
        let words = access.words.as_ref();
        let request = words.map_or("request", |words| &words.request);
        let peer = access.peer;
        if matches!(
            fault.code,
            BadRequest | NotFound | Exists | Forbidden | Busy
        ) {
            debug!("{peer} {request}: {fault}");
        } else if let Some(more) = self.0.due(fault.code) {
            let cause = fault
                .cause
                .as_ref()
                .map(|cause| format!(" ({cause})"))
                .unwrap_or_default();
            error!("{peer} {request}: {fault}{cause}{more}");
        }
    }
}
