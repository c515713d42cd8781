//! What is written down of requests: a line each in the access log, and faults of ours in the log.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use log::{Level, debug, error, info, log_enabled};
use parking_lot::Mutex;
use proto::{ErrorCode, Fault};

use crate::logging::{ACCESS_TARGET, timestamp};
use crate::net::Sent;

/// Faults of one kind that come faster are counted, not written: a database that is away would
/// fill the disk.
const FAULT_INTERVAL: Duration = Duration::from_secs(1);

/// One request's line in the access log: time, client, request, result, bytes sent, milliseconds.
pub(super) struct Access {
    peer: SocketAddr,
    /// Absent when nobody writes an access log.
    request: Option<String>,
    began: Instant,
}

/// Writes faults down, in bounds.
#[derive(Default)]
pub(super) struct FaultLog(Mutex<Vec<Recent>>);

/// The last line about one kind of fault.
struct Recent {
    code: ErrorCode,
    at: Instant,
    unwritten: u64,
}

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

    pub(super) fn end(self, result: &str) -> Option<Box<dyn FnOnce(Sent) + Send>> {
        let request = self.request?;
        let (peer, began, result) = (self.peer.ip(), self.began, result.to_owned());
        Some(Box::new(move |sent: Sent| {
            let ms = began.elapsed().as_secs_f64() * 1e3;
            let cut = if sent.complete { "" } else { " cut" };
            let time = timestamp(chrono::Utc::now());
            let bytes = sent.bytes;
            info!(target: ACCESS_TARGET, "{time} {peer} {request} {result}{cut} {bytes} {ms:.3}");
        }))
    }
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
        } else if let Some(unwritten) = self.due(fault.code, Instant::now()) {
            let cause = fault
                .cause
                .as_ref()
                .map(|cause| format!(" ({cause})"))
                .unwrap_or_default();
            let more = match unwritten {
                0 => String::new(),
                n => format!("; {n} more like it before"),
            };
            error!("{peer} {request}: {fault}{cause}{more}");
        }
    }

    /// How many faults of this kind were not written since the last line, if one is due.
    fn due(&self, code: ErrorCode, now: Instant) -> Option<u64> {
        let mut kinds = self.0.lock();
        let Some(recent) = kinds.iter_mut().find(|recent| recent.code == code) else {
            kinds.push(Recent {
                code,
                at: now,
                unwritten: 0,
            });
            return Some(0);
        };
        if now.duration_since(recent.at) < FAULT_INTERVAL {
            recent.unwritten += 1;
            return None;
        }
        recent.at = now;
        Some(std::mem::take(&mut recent.unwritten))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_fault_is_written_once_in_its_interval() {
        let log = FaultLog::default();
        let began = Instant::now();
        assert_eq!(log.due(ErrorCode::Unavailable, began), Some(0));
        assert_eq!(log.due(ErrorCode::NoSpace, began), Some(0));
        for _ in 0..5 {
            assert_eq!(log.due(ErrorCode::Unavailable, began), None);
        }
        let later = began + FAULT_INTERVAL;
        assert_eq!(log.due(ErrorCode::Unavailable, later), Some(5));
        assert_eq!(
            log.due(ErrorCode::Unavailable, later + FAULT_INTERVAL),
            Some(0)
        );
    }
}
