//! A tracker that remembers which storages take uploads and serve downloads.

use daemon::metrics::Metrics;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use net::wire::{Caller, Reply, Service, Wire};
use net::{Server, ServerConfig};
use proto::Fault;
use proto::report::Report;
use proto::tracker::TrackerRequest;

/// The latest report of each storage, by the name of its host.
type Told = Arc<Mutex<HashMap<String, Report>>>;

struct Listening(Told);

impl Service for Listening {
    type Request = TrackerRequest;
    type Session = ();

    fn call(&self, request: TrackerRequest, _: &mut Caller<'_, ()>) -> Result<Reply, Fault> {
        let mut told = self.0.lock().unwrap();
        match request {
            TrackerRequest::Join(join) => {
                told.insert(join.member.hostname.to_string(), able());
            }
            TrackerRequest::Report(member, report) => {
                told.insert(member.hostname.to_string(), *report);
            }
            _ => {}
        }
        Ok(Reply::bytes(Vec::new()))
    }
}

pub struct Tracker {
    pub server: Option<Server>,
    told: Told,
}

impl Tracker {
    pub fn start() -> Tracker {
        let told = Told::default();
        let wire = Wire::new(
            Listening(Arc::clone(&told)),
            "tracker",
            Arc::new(Metrics::of_wire::<TrackerRequest>()),
        );
        let addr = ([127, 0, 0, 1], 0).into();
        let server = Server::start("tracker", addr, &ServerConfig::default(), wire).unwrap();
        Tracker {
            server: Some(server),
            told,
        }
    }

    /// Whether every storage that joined says it takes uploads, and at least one did.
    pub fn all_take_uploads(&self) -> bool {
        let told = self.told.lock().unwrap();
        !told.is_empty() && told.values().all(|report| report.uploads)
    }

    /// Whether none of them does.
    pub fn none_takes_uploads(&self) -> bool {
        self.told
            .lock()
            .unwrap()
            .values()
            .all(|report| !report.uploads)
    }

    /// The warnings of all of them.
    pub fn warnings(&self) -> Vec<String> {
        let told = self.told.lock().unwrap();
        told.values()
            .flat_map(|report| report.warnings.clone())
            .collect()
    }

    /// Whether all of them serve downloads.
    pub fn all_serve_downloads(&self) -> bool {
        self.told
            .lock()
            .unwrap()
            .values()
            .all(|report| report.downloads)
    }
}

/// The state that a storage is taken for before its first report.
fn able() -> Report {
    Report {
        uploads: true,
        downloads: true,
        ..Report::default()
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.server.take().into_iter().for_each(Server::shutdown);
    }
}
