//! The access log of the wire protocol, and faults in the main log.

use std::fmt;
use std::net::SocketAddr;

use base::LogThrottle;
use log::{Level, debug, error, info, log_enabled};
use proto::{ErrorCode, Fault, HEAD_LEN, Request, ServerKind};

use crate::access_log::{ACCESS_TARGET, timestamp};
use crate::transport::{AccessLine, Outcome, Record, RequestEnd, Sent};

/// One request's line in the access log: time, client, command, application, user, file, bytes of
/// content in either direction, status, milliseconds. The status is `ok`, `error-` and the number
/// of the failure, `cut` when the reply did not go out whole, or `aborted` when the client went
/// away before there was one.
struct Line {
    peer: SocketAddr,
    request: String,
}

/// The line of a request; absent if no access log is written.
pub(super) fn line<R: Request>(peer: SocketAddr, request: &R) -> Option<Box<dyn AccessLine>> {
    of(peer, || request.access_fields().to_string())
}

/// The line of a part of the proof of a key, or of a request that is unknown, invalid or not read.
pub(super) fn line_of_command(
    peer: SocketAddr,
    server: ServerKind,
    command: Option<u8>,
) -> Option<Box<dyn AccessLine>> {
    of(peer, || {
        let Some(command) = command else {
            return "- - - -".to_owned();
        };
        let mut proof = server.proof_commands().into_iter();
        match proof.find(|(known, _)| *known == command) {
            Some((_, name)) => format!("{name} - - -"),
            None => format!("command-{command} - - -"),
        }
    })
}

fn of(peer: SocketAddr, request: impl FnOnce() -> String) -> Option<Box<dyn AccessLine>> {
    let wanted = log_enabled!(target: ACCESS_TARGET, Level::Info) || log_enabled!(Level::Debug);
    wanted.then(|| -> Box<dyn AccessLine> {
        Box::new(Line {
            peer,
            request: request(),
        })
    })
}

impl AccessLine for Line {
    fn request(&self) -> &str {
        &self.request
    }

    fn write(&self, end: &RequestEnd, reply: Option<Sent>) {
        let status = Status(end.outcome, reply);
        let body = reply.map_or(0, |sent| sent.bytes.saturating_sub(HEAD_LEN as u64));
        let time = timestamp(chrono::Utc::now());
        let (ip, bytes) = (self.peer.ip().to_canonical(), end.received + body);
        let (ms, us) = (end.took.as_millis(), end.took.subsec_micros() % 1000);
        let request = &self.request;
        info!(target: ACCESS_TARGET, "{time} {ip} {request} {bytes} {status} {ms}.{us:03}");
    }
}

struct Status(Outcome, Option<Sent>);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status(_, None) => f.write_str("aborted"),
            Status(_, Some(sent)) if !sent.complete => f.write_str("cut"),
            Status(Outcome::Failed(code), _) => write!(f, "error-{}", *code as i16),
            Status(..) => f.write_str("ok"),
        }
    }
}

/// Logs faults at a limited rate: an unavailable database would fill the disk.
#[derive(Default)]
pub(super) struct FaultLog(LogThrottle<ErrorCode>);

impl FaultLog {
    /// Logs faults of this server at error, with their cause, and those of clients at debug.
    pub(super) fn note(&self, record: &Record, fault: &Fault) {
        use ErrorCode::{BadRequest, Busy, Exists, Forbidden, NotFound};
        let (peer, request) = (record.peer, record.request());
        if matches!(
            fault.code,
            BadRequest | NotFound | Exists | Forbidden | Busy
        ) {
            debug!("{peer} {request}: {fault}");
        } else if let Some(more) = self.0.due(fault.code) {
            let cause = fault.cause.as_ref();
            let cause = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
            error!("{peer} {request}: {fault}{cause}{more}");
        }
    }
}
