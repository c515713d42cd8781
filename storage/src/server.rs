//! Starting and stopping, in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use base::thread;
use daemon::status::StatusPort;
use daemon::{DaemonHandle, Ports};
use net::Server;
use net::wire::Wire;

use crate::clock::epoch_secs;
use crate::config::Config;
use crate::globals::{Globals, ids};
use crate::metrics::Shown;
use crate::service::StorageService;
use crate::status::Jobs;
use crate::tracker::Membership;

/// How long the periodic jobs get to notice a stop: a disk that hangs may never let them.
const JOBS_END: Duration = Duration::from_secs(2);

/// A running storage.
pub struct Storage {
    globals: Arc<Globals>,
    server: Server,
    port: StatusPort,
    membership: Membership,
    jobs: Jobs,
}

/// Runs a storage until the stop.
///
/// # Errors
/// It cannot start; the error says why.
pub fn run(config: Config, handle: &mut DaemonHandle<Config>) -> anyhow::Result<()> {
    let mut storage = Storage::start(config)?;
    storage.globals.metrics.frame.adopt(handle.lost_log_lines());
    handle.serve(|config| storage.reload(config));
    storage.shutdown();
    Ok(())
}

impl Storage {
    /// Binds the ports, opens what it needs, serves, and joins the trackers.
    ///
    /// # Errors
    /// The database, a store path or an address to listen on is not to be had.
    pub fn start(config: Config) -> anyhow::Result<Storage> {
        let ports = Ports::bind(config.listen, &config.status)?;
        let globals = Globals::open(config)?;
        let config = &globals.config;
        let metrics = &globals.metrics.frame;
        let service = StorageService::new(Arc::clone(&globals));
        let wire = Wire::new(service, config.hostname.as_str(), Arc::clone(metrics));
        let server = Server::serve("storage", ports.service, &config.server, wire)
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let shown = Shown {
            globals: Arc::clone(&globals),
            connections: server.connections(),
            up_since: epoch_secs(),
        };
        let port = StatusPort::start("tnv-storage", ports.status, metrics, shown)?;
        let jobs = Jobs::start(&globals)?;
        let membership = Membership::start(&globals, &server)?;
        Ok(Storage {
            globals,
            server,
            port,
            membership,
            jobs,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Takes on the settings that a running one can.
    ///
    /// # Errors
    /// There is no thread for another tracker.
    pub fn reload(&mut self, config: &Config) -> anyhow::Result<()> {
        self.membership.change(config)?;
        self.globals.numbers.change(ids(config));
        self.globals.rows.reload(&config.cache);
        self.globals.guard.reload(config.admin_key_file.clone());
        self.globals.allowed.reload(&config.allow_hosts);
        for path in self.globals.paths.iter() {
            path.reserve(config.reserved_space);
        }
        self.server.reload(&config.server);
        Ok(())
    }

    /// Where it tells how it is, unless that is off.
    pub fn status_addr(&self) -> Option<SocketAddr> {
        self.port.addr()
    }

    /// Leaves the trackers, so that no new client is sent here, finishes the requests in flight,
    /// and closes the database.
    pub fn shutdown(self) {
        self.globals.metrics.frame.begin_stop();
        self.membership.leave();
        self.server.shutdown();
        thread::join_or_leave(self.jobs.stop(), Instant::now() + JOBS_END);
        self.globals.files.close();
        self.port.shutdown();
    }
}
