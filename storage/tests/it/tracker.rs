//! A tracker that records the requests of storages.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender, unbounded};
use daemon::metrics::Metrics;
use net::wire::{Caller, Reply, Service, Wire};
use net::{Server, ServerConfig};
use proto::hello::Welcome;
use proto::tracker::TrackerRequest;
use proto::{ErrorCode, Fault};

/// Records the requests of storages.
struct RecordingTracker {
    heard: Sender<TrackerRequest>,
    /// Answers the next beat as a tracker that was started anew.
    forgetful: AtomicBool,
    /// Answers the next request of this kind that it has too much to do.
    busy: Mutex<Option<&'static str>>,
}

impl Service for RecordingTracker {
    type Request = TrackerRequest;
    type Session = ();

    fn call(&self, request: TrackerRequest, _: &mut Caller<'_, ()>) -> Result<Reply, Fault> {
        let beat = matches!(request, TrackerRequest::Beat(_));
        let kind = kind(&request);
        self.heard.send(request).unwrap();
        if beat && self.forgetful.swap(false, Ordering::Relaxed) {
            return Err(Fault::new(ErrorCode::NotFound, "unknown member"));
        }
        if self
            .busy
            .lock()
            .unwrap()
            .take_if(|busy| *busy == kind)
            .is_some()
        {
            return Err(Fault::new(ErrorCode::Busy, "busy, waited 5s for a worker"));
        }
        let body = if kind == "hello" {
            let cluster = Some("abc".parse().unwrap());
            Welcome { cluster }.encode()
        } else {
            Vec::new()
        };
        Ok(Reply::bytes(body))
    }
}

pub fn tracker(forgetful: bool) -> (Server, Receiver<TrackerRequest>) {
    tracker_that_is(forgetful, None)
}

pub fn tracker_that_is(
    forgetful: bool,
    busy: Option<&'static str>,
) -> (Server, Receiver<TrackerRequest>) {
    let (heard, requests) = unbounded();
    let service = RecordingTracker {
        heard,
        forgetful: AtomicBool::new(forgetful),
        busy: Mutex::new(busy),
    };
    let wire = Wire::new(
        service,
        "tracker",
        Arc::new(Metrics::of_wire::<TrackerRequest>()),
    );
    let addr = ([127, 0, 0, 1], 0).into();
    (
        Server::start("tracker", addr, &ServerConfig::default(), wire).unwrap(),
        requests,
    )
}

pub fn kind(request: &TrackerRequest) -> &'static str {
    match request {
        TrackerRequest::Join(_) => "join",
        TrackerRequest::Beat(_) => "beat",
        TrackerRequest::Leave(_) => "leave",
        TrackerRequest::Hello(_) => "hello",
        TrackerRequest::Report(..) => "report",
        _ => "other",
    }
}
