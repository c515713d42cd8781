//! Starting and stopping, in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use base::thread::{self, Thread};
use base::{Stop, Ticker};
use daemon::status::StatusPort;
use daemon::{DaemonHandle, Ports};
use net::Server;
use net::wire::Wire;

use crate::config::Config;
use crate::globals::Globals;
use crate::metrics::Shown;
use crate::service::TrackerService;
use crate::{reach, status};

/// How long the looks at the groups get to notice a stop: a database may be slow to answer.
const STATUS_END: Duration = Duration::from_secs(2);

/// A running tracker.
pub struct Tracker {
    globals: Arc<Globals>,
    server: Server,
    status: [Ticker; 2],
    port: StatusPort,
    reach: Vec<Thread>,
    stop: Stop,
}

/// Runs a tracker until the stop.
///
/// # Errors
/// It cannot start; the error says why.
pub fn run(config: Config, handle: &mut DaemonHandle<Config>) -> anyhow::Result<()> {
    let tracker = Tracker::start(config)?;
    tracker.globals.metrics.frame.adopt(handle.lost_log_lines());
    handle.serve(|config| {
        tracker.reload(config);
        Ok(())
    });
    tracker.shutdown();
    Ok(())
}

impl Tracker {
    /// Binds the ports, opens the database and serves. There are no members yet: they come by themselves.
    ///
    /// # Errors
    /// The database or an address to listen on is not to be had.
    pub fn start(config: Config) -> anyhow::Result<Tracker> {
        let ports = Ports::bind(config.listen, &config.status)?;
        let globals = Globals::open(config)?;
        let config = &globals.config;
        let metrics = &globals.metrics.frame;
        let service = TrackerService::new(Arc::clone(&globals));
        let wire = Wire::new(service, config.hostname.as_str(), Arc::clone(metrics));
        let server = Server::serve("tracker", ports.service, &config.server, wire)
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let shown = Shown(Arc::clone(&globals));
        let port = StatusPort::start("tnv-tracker", ports.status, metrics, shown)?;
        let stop = Stop::new();
        let status = status::start(&globals, &stop)?;
        let reach = reach::start(&globals, &stop)?;
        Ok(Tracker {
            globals,
            server,
            port,
            status,
            reach,
            stop,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Takes on the settings that a running one can.
    pub fn reload(&self, config: &Config) {
        self.globals.reload(config);
        self.server.reload(&config.server);
    }

    /// Where it tells how it is, unless that is off.
    pub fn status_addr(&self) -> Option<SocketAddr> {
        self.port.addr()
    }

    /// Finishes the requests in flight and closes the database.
    pub fn shutdown(self) {
        self.globals.metrics.frame.begin_stop();
        self.stop.trip();
        self.server.shutdown();
        // Closed first: the look at the groups may wait for it.
        self.globals.routes.close();
        let status = self.status.into_iter().map(Ticker::into_thread);
        thread::join_or_leave(status, Instant::now() + STATUS_END);
        self.port.shutdown();
        reach::join(self.reach);
    }
}
