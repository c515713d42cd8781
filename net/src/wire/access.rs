//! The access log of the wire protocol, and faults in the main log.

use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use base::LogThrottle;
use log::{Level, debug, error, info, log_enabled};
use proto::{ErrorCode, Fault, HEAD_LEN, Request};

use crate::access_log::{ACCESS_TARGET, timestamp};
use crate::transport::{Sent, Tally};

/// One request's line in the access log: time, client, command, application, user, file, bytes of
/// content in either direction, status, milliseconds. The status is `ok`, `error-` and the number
/// of the failure, `cut` when the reply did not go out whole, or `aborted` when the client went
/// away before there was one.
pub(super) struct Access {
    peer: SocketAddr,
    /// The columns that describe the request; absent if no access log is written.
    columns: Option<String>,
    began: Instant,
    received: u64,
    /// Counts the request as aborted, unless a reply takes it.
    pub(super) tally: Option<Tally>,
}

/// The status of a reply.
#[derive(Clone, Copy)]
pub(super) enum Status {
    Ok,
    Error(ErrorCode),
}

/// Logs faults at a limited rate: an unavailable database would fill the disk.
#[derive(Default)]
pub(super) struct FaultLog(LogThrottle<ErrorCode>);

impl Access {
    pub(super) fn begin<R: Request>(peer: SocketAddr, tally: Tally, request: &R) -> Access {
        Access::of(peer, Some(tally), || request.access_fields().to_string())
    }

    /// The line of an unknown or invalid command.
    pub(super) fn begin_unknown(peer: SocketAddr, tally: Tally, command: u8) -> Access {
        Access::of(peer, Some(tally), || unread(Some(command)))
    }

    /// The line of a request that was not read and is not counted.
    pub(super) fn begin_unread(peer: SocketAddr, command: Option<u8>) -> Access {
        Access::of(peer, None, || unread(command))
    }

    fn of(peer: SocketAddr, tally: Option<Tally>, columns: impl FnOnce() -> String) -> Access {
        let wanted = log_enabled!(target: ACCESS_TARGET, Level::Info) || log_enabled!(Level::Debug);
        Access {
            peer,
            columns: wanted.then(columns),
            began: Instant::now(),
            received: 0,
            tally,
        }
    }

    /// Counts received content.
    pub(super) fn received(&mut self, bytes: usize) {
        self.received += bytes as u64;
        if let Some(tally) = &mut self.tally {
            tally.receive(bytes as u64);
        }
    }

    pub(super) fn take(&mut self) -> Access {
        Access {
            peer: self.peer,
            columns: self.columns.take(),
            began: self.began,
            received: self.received,
            tally: self.tally.take(),
        }
    }

    pub(super) fn end(mut self, status: Status) -> Option<Box<dyn FnOnce(Sent) + Send>> {
        let columns = self.columns.take()?;
        let ended = self.take();
        Some(Box::new(move |sent: Sent| {
            let body = sent.bytes.saturating_sub(HEAD_LEN as u64);
            match status {
                _ if !sent.complete => ended.write_line(&columns, body, format_args!("cut")),
                Status::Ok => ended.write_line(&columns, body, format_args!("ok")),
                Status::Error(code) => {
                    ended.write_line(&columns, body, format_args!("error-{}", code as i16));
                }
            }
        }))
    }

    fn write_line(&self, columns: &str, sent: u64, status: fmt::Arguments<'_>) {
        let time = timestamp(chrono::Utc::now());
        let (ip, bytes) = (self.peer.ip().to_canonical(), self.received + sent);
        let took = self.began.elapsed();
        let (ms, us) = (took.as_millis(), took.subsec_micros() % 1000);
        info!(target: ACCESS_TARGET, "{time} {ip} {columns} {bytes} {status} {ms}.{us:03}");
    }
}

fn unread(command: Option<u8>) -> String {
    match command {
        Some(command) => format!("command-{command} - - -"),
        None => "- - - -".to_owned(),
    }
}

impl Drop for Access {
    /// Writes the line of a request whose client left before the reply.
    fn drop(&mut self) {
        if let Some(columns) = self.columns.take() {
            self.write_line(&columns, 0, format_args!("aborted"));
        }
    }
}

impl FaultLog {
    /// Logs faults of this server at error, with their cause, and those of clients at debug.
    pub(super) fn note(&self, access: &Access, fault: &Fault) {
        use ErrorCode::{BadRequest, Busy, Exists, Forbidden, NotFound};
        let request = access.columns.as_deref().unwrap_or("request");
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
