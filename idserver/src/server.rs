//! Starting and stopping, in order.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use daemon::status::StatusPort;
use daemon::{DaemonHandle, Ports};
use net::Server;
use net::wire::Wire;

use crate::config::Config;
use crate::globals::Globals;
use crate::metrics::Shown;
use crate::service::IdService;

/// A running idserver.
pub struct Idserver {
    globals: Arc<Globals>,
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
    handle.serve(|config| {
        idserver.reload(config);
        Ok(())
    });
    idserver.shutdown();
    Ok(())
}

impl Idserver {
    /// Binds the ports, opens the database and serves.
    ///
    /// # Errors
    /// The database or an address to listen on is not to be had.
    pub fn start(config: Config) -> anyhow::Result<Idserver> {
        let ports = Ports::bind(config.listen, &config.status)?;
        let globals = Globals::open(config)?;
        let config = &globals.config;
        let metrics = &globals.metrics.frame;
        let service = IdService::new(Arc::clone(&globals));
        let wire = Wire::new(service, config.hostname.as_str(), Arc::clone(metrics));
        let server = Server::serve("idserver", ports.service, &config.server, wire)
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let shown = Shown(Arc::clone(&globals));
        let port = StatusPort::start("tnv-idserver", ports.status, metrics, shown)?;
        Ok(Idserver {
            globals,
            server,
            port,
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

    /// Finishes the requests in flight and closes the database. What is left of the steps in
    /// memory is skipped.
    pub fn shutdown(self) {
        self.globals.metrics.frame.begin_stop();
        self.server.shutdown();
        self.globals.ids.close();
        self.port.shutdown();
    }
}
