//! The trait that each server implements, and the start, reload and stop that all servers share.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use net::{Protocol, Server};

use crate::config::{Config, Settings};
use crate::handle::DaemonHandle;
use crate::metrics::Metrics;
use crate::ports::Ports;
use crate::status::{StatusPort, StatusSource};

/// The part of a server that differs from the other servers: its service and its jobs.
pub trait Application: Sized {
    /// The settings that only this server has.
    type Settings: Settings;
    /// The name of the program, as in `tnv-tracker`.
    const NAME: &'static str;
    /// One line about the program, for its help.
    const ABOUT: &'static str;

    /// Opens what the service needs, serves at `ports` with [`Ports::serve`], and starts the jobs.
    ///
    /// # Errors
    /// It cannot serve.
    fn start(config: Config<Self::Settings>, ports: Ports) -> anyhow::Result<(Self, Serving)>;

    /// Applies the settings that need no restart.
    ///
    /// # Errors
    /// The server keeps its settings.
    fn reload(&mut self, config: &Config<Self::Settings>) -> anyhow::Result<()>;

    /// Ends the jobs and closes the database. `finish_requests` closes the port and returns when no request
    /// is in progress.
    fn stop(self, finish_requests: impl FnOnce());
}

/// The open ports of a started server.
pub struct Serving {
    /// The port of the service.
    pub server: Server,
    /// The status port.
    pub status: StatusPort,
    metrics: Arc<Metrics>,
}

impl Ports {
    /// Serves `protocol`, and shows `metrics` and the source that `view` makes.
    ///
    /// # Errors
    /// The system refuses to listen, a thread or a descriptor.
    pub fn serve<A: Application, S: StatusSource>(
        self,
        config: &Config<A::Settings>,
        metrics: &Arc<Metrics>,
        protocol: impl Protocol,
        view: impl FnOnce(&Server) -> S,
    ) -> anyhow::Result<Serving> {
        let name = A::NAME.trim_start_matches("tnv-");
        let addr = self.service.addr();
        let server = Server::serve(name, self.service, &config.server, protocol)
            .with_context(|| format!("cannot listen on {addr}"))?;
        let status = StatusPort::start(A::NAME, self.status, metrics, view(&server))?;
        Ok(Serving {
            server,
            status,
            metrics: Arc::clone(metrics),
        })
    }
}

/// A running server.
pub struct Running<A> {
    app: A,
    serving: Serving,
}

impl<A: Application> Running<A> {
    /// Binds the ports and starts the server.
    ///
    /// # Errors
    /// A port is in use, or the server cannot serve.
    pub fn start(config: Config<A::Settings>) -> anyhow::Result<Running<A>> {
        let ports = Ports::bind(&config)?;
        let (app, serving) = A::start(config, ports)?;
        Ok(Running { app, serving })
    }

    /// Starts a server, applies reloads, and stops it.
    pub(crate) fn run(
        config: Config<A::Settings>,
        handle: &mut DaemonHandle<A::Settings>,
    ) -> anyhow::Result<()> {
        let mut running = Running::<A>::start(config)?;
        running.serving.metrics.adopt(handle.lost_log_lines());
        handle.serve(|config| running.reload(config));
        running.shutdown();
        Ok(())
    }

    /// The address of the service.
    pub fn addr(&self) -> SocketAddr {
        self.serving.server.addr()
    }

    /// The address of the status port; none when it is off.
    pub fn status_addr(&self) -> Option<SocketAddr> {
        self.serving.status.addr()
    }

    /// Applies the settings that need no restart.
    ///
    /// # Errors
    /// As for [`Application::reload`].
    pub fn reload(&mut self, config: &Config<A::Settings>) -> anyhow::Result<()> {
        self.app.reload(config)?;
        self.serving.server.reload(&config.server);
        Ok(())
    }

    /// Stops: `/healthz` says so, requests in progress finish, databases are closed, the status port ends
    /// last.
    pub fn shutdown(self) {
        let Serving {
            server,
            status,
            metrics,
        } = self.serving;
        metrics.begin_stop();
        self.app.stop(|| server.shutdown());
        status.shutdown();
    }
}
