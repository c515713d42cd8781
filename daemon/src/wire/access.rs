//! What is written down of requests: a line each in the access log, and faults of ours in the log.

use std::net::SocketAddr;
use std::time::Instant;

use log::{Level, debug, error, info, log_enabled};
use proto::{ErrorCode, Fault};

use crate::logging::{ACCESS_TARGET, Seldom, timestamp};
use crate::net::Sent;

/// One request's line in the access log: time, client, request, result, bytes sent, milliseconds.
pub(super) struct Access {
    peer: SocketAddr,
    /// Absent when nobody writes an access log.
    request: Option<String>,
    began: Instant,
}

/// Writes faults down, in bounds: a database that is away would fill the disk.
#[derive(Default)]
pub(super) struct FaultLog(Seldom<ErrorCode>);

impl Access {
    pub(super) fn begin(peer: SocketAddr, request: impl FnOnce() -> String) -> Access {
        let wanted = log_enabled!(target: ACCESS_TARGET, Level::Info) || log_enabled!(Level::Debug);
        Access {
            peer,
            request: wanted.then(request),
            began: Instant::now(),
        }
    }

    pub(super) fn take(&mut self) -> Access {
        Access {
            peer: self.peer,
            request: self.request.take(),
            began: self.began,
        }
    }

    pub(super) fn end(mut self, result: &str) -> Option<Box<dyn FnOnce(Sent) + Send>> {
        let request = self.request.take()?;
        let (peer, began, result) = (self.peer, self.began, result.to_owned());
        Some(Box::new(move |sent: Sent| {
            let cut = if sent.complete { "" } else { " cut" };
            write_line(peer, &request, &format!("{result}{cut}"), sent.bytes, began);
        }))
    }
}

impl Drop for Access {
    /// A client that went away before it was answered.
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            write_line(self.peer, &request, "aborted", 0, self.began);
        }
    }
}

fn write_line(peer: SocketAddr, request: &str, result: &str, bytes: u64, began: Instant) {
    let time = timestamp(chrono::Utc::now());
    let ip = peer.ip();
    let ms = began.elapsed().as_secs_f64() * 1e3;
    info!(target: ACCESS_TARGET, "{time} {ip} {request} {result} {bytes} {ms:.3}");
}

impl FaultLog {
    /// Our own faults are errors, with their cause; a client's are everyday life.
    pub(super) fn note(&self, access: &Access, fault: &Fault) {
        use ErrorCode::{BadRequest, Busy, Exists, Forbidden, NotFound};
        let (peer, request) = (access.peer, access.request.as_deref().unwrap_or("request"));
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
