//! Starts and stops an idserver, in order.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use daemon::status::StatusPort;
use daemon::{DaemonHandle, Ports};
use net::Server;
use net::access_control::AccessControl;
use net::wire::Wire;
use proto::ServerKind;

use crate::config::Config;
use crate::filler::Filler;
use crate::globals::Globals;
use crate::service::IdService;
use crate::status_view::StatusView;

/// A running idserver.
pub struct Idserver {
    globals: Arc<Globals>,
    access: Arc<AccessControl>,
    filler: Filler,
    server: Server,
    port: StatusPort,
}

/// Runs an idserver until the stop.
///
/// # Errors
/// It cannot start; the error says why.
pub fn run(config: Config, handle: &mut DaemonHandle<Config>) -> anyhow::Result<()> {
    let idserver = Idserver::start(config)?;
    idserver
        .globals
        .metrics
        .frame
        .adopt(handle.lost_log_lines());
    handle.serve(|config| idserver.reload(config));
    idserver.shutdown();
    Ok(())
}

impl Idserver {
    /// Binds the ports, opens the database and serves.
    ///
    /// # Errors
    /// The database cannot be opened, or an address to listen on is taken.
    pub fn start(config: Config) -> anyhow::Result<Idserver> {
        let ports = Ports::bind(config.listen, &config.status)?;
        let globals = Globals::open(config)?;
        let config = &globals.config;
        let metrics = &globals.metrics.frame;
        let (filler, queue) = Filler::start(&globals)?;
        let service = IdService::new(Arc::clone(&globals), queue);
        let access = Arc::new(AccessControl::new(ServerKind::Idserver, &config.access())?);
        let wire = Wire::new(service, config.hostname.as_str(), Arc::clone(metrics));
        let wire = wire.allowing(Arc::clone(&access));
        let server = Server::serve("idserver", ports.service, &config.server, wire)
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let view = StatusView(Arc::clone(&globals));
        let port = StatusPort::start("tnv-idserver", ports.status, metrics, view)?;
        Ok(Idserver {
            globals,
            access,
            filler,
            server,
            port,
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

    /// Finishes the requests in flight, closes the database and ends the filler. The numbers in memory
    /// are skipped.
    pub fn shutdown(self) {
        self.globals.metrics.frame.begin_stop();
        self.server.shutdown();
        self.globals.ids.close();
        self.filler.shutdown();
        self.port.shutdown();
    }
}
