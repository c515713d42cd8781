//! Starts and stops a tracker, in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use base::thread::{self, Thread};
use base::{Stop, Ticker};
use daemon::status::StatusPort;
use daemon::{DaemonHandle, Ports};
use net::Server;
use net::access_control::AccessControl;
use net::wire::Wire;
use proto::ServerKind;

use crate::config::Config;
use crate::globals::Globals;
use crate::service::TrackerService;
use crate::status_view::StatusView;
use crate::{probes, status};

/// How long a stop waits for the periodic jobs: a database may be slow to answer.
const STATUS_END: Duration = Duration::from_secs(2);

/// A running tracker.
pub struct Tracker {
    globals: Arc<Globals>,
    access: Arc<AccessControl>,
    server: Server,
    status: [Ticker; 2],
    port: StatusPort,
    probes: Vec<Thread>,
    stop: Stop,
}

/// Runs a tracker until the stop.
///
/// # Errors
/// It cannot start; the error says why.
pub fn run(config: Config, handle: &mut DaemonHandle<Config>) -> anyhow::Result<()> {
    let tracker = Tracker::start(config)?;
    tracker.globals.metrics.frame.adopt(handle.lost_log_lines());
    handle.serve(|config| tracker.reload(config));
    tracker.shutdown();
    Ok(())
}

impl Tracker {
    /// Binds the ports, opens the database and serves. Members join by themselves.
    ///
    /// # Errors
    /// The database cannot be opened, or an address to listen on is taken.
    pub fn start(config: Config) -> anyhow::Result<Tracker> {
        let ports = Ports::bind(config.listen, &config.status)?;
        let globals = Globals::open(config)?;
        let config = &globals.config;
        let metrics = &globals.metrics.frame;
        let service = TrackerService::new(Arc::clone(&globals));
        let access = Arc::new(AccessControl::new(ServerKind::Tracker, &config.access())?);
        let wire = Wire::new(service, config.hostname.as_str(), Arc::clone(metrics));
        let wire = wire.allowing(Arc::clone(&access));
        let server = Server::serve("tracker", ports.service, &config.server, wire)
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let view = StatusView(Arc::clone(&globals));
        let port = StatusPort::start("tnv-tracker", ports.status, metrics, view)?;
        let stop = Stop::new();
        let status = status::start(&globals, &stop)?;
        let probes = probes::start(&globals, &stop)?;
        Ok(Tracker {
            globals,
            access,
            server,
            port,
            status,
            probes,
            stop,
        })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Applies the settings that need no restart.
    ///
    /// # Errors
    /// The key file cannot be used.
    pub fn reload(&self, config: &Config) -> anyhow::Result<()> {
        self.access.reload(&config.access())?;
        self.globals.reload(config);
        self.server.reload(&config.server);
        Ok(())
    }

    /// The address of the status port; none when it is off.
    pub fn status_addr(&self) -> Option<SocketAddr> {
        self.port.addr()
    }

    /// Finishes the requests in flight and closes the database.
    pub fn shutdown(self) {
        self.globals.metrics.frame.begin_stop();
        self.stop.trip();
        self.server.shutdown();
        // Before the join, because the job that reads the groups may wait for the database.
        self.globals.routes.close();
        let status = self.status.into_iter().map(Ticker::into_thread);
        thread::join_or_leave(status, Instant::now() + STATUS_END);
        self.port.shutdown();
        probes::join(self.probes);
    }
}
