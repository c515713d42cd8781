//! Starts and stops a storage, in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use base::thread;
use daemon::status::StatusPort;
use daemon::{DaemonHandle, Ports};
use net::Server;
use net::access_control::AccessControl;
use net::wire::Wire;
use proto::ServerKind;

use crate::clock::epoch_secs;
use crate::config::Config;
use crate::globals::{Globals, ids};
use crate::service::StorageService;
use crate::status::Jobs;
use crate::status_view::StatusView;
use crate::tracker::Membership;

/// Longest wait for the periodic jobs at a stop: a disk may hold them.
const JOBS_END: Duration = Duration::from_secs(2);

/// A running storage.
pub struct Storage {
    globals: Arc<Globals>,
    access: Arc<AccessControl>,
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
    /// Binds the ports, opens database and store paths, serves, and joins the trackers.
    ///
    /// # Errors
    /// The database, a store path or an address cannot be used.
    pub fn start(config: Config) -> anyhow::Result<Storage> {
        let ports = Ports::bind(config.listen, &config.status)?;
        let globals = Globals::open(config)?;
        let config = &globals.config;
        let metrics = &globals.metrics.frame;
        let service = StorageService::new(Arc::clone(&globals));
        let access = Arc::new(AccessControl::new(ServerKind::Storage, &config.access())?);
        let wire = Wire::new(service, config.hostname.as_str(), Arc::clone(metrics));
        let wire = wire.allowing(Arc::clone(&access));
        let server = Server::serve("storage", ports.service, &config.server, wire)
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let view = StatusView {
            globals: Arc::clone(&globals),
            connections: server.connections(),
            up_since: epoch_secs(),
        };
        let port = StatusPort::start("tnv-storage", ports.status, metrics, view)?;
        let jobs = Jobs::start(&globals)?;
        let membership = Membership::start(&globals, &server)?;
        Ok(Storage {
            globals,
            access,
            server,
            port,
            membership,
            jobs,
        })
    }

    /// The address of the service.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Applies the settings that a running storage can change.
    ///
    /// # Errors
    /// No thread can be started for a new tracker.
    pub fn reload(&mut self, config: &Config) -> anyhow::Result<()> {
        self.access.reload(&config.access())?;
        self.membership.reload(config)?;
        self.globals.numbers.set_client(ids(config)?);
        self.globals.rows.reload(&config.cache);
        self.globals.guard.reload(config.admin_key_file.clone());
        for path in self.globals.paths.iter() {
            path.set_reserved_space(config.reserved_space);
        }
        self.server.reload(&config.server);
        Ok(())
    }

    /// The address of the status port; none when it is off.
    pub fn status_addr(&self) -> Option<SocketAddr> {
        self.port.addr()
    }

    /// Leaves the trackers, so that clients go elsewhere, finishes requests in progress, and
    /// closes the database.
    pub fn shutdown(self) {
        self.globals.metrics.frame.begin_stop();
        self.membership.leave();
        self.server.shutdown();
        thread::join_or_leave(self.jobs.stop(), Instant::now() + JOBS_END);
        self.globals.files.close();
        self.port.shutdown();
    }
}
