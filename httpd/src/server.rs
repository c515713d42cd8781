//! Starting and stopping, in order.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use daemon::Life;
use daemon::http::Http;
use daemon::net::Server;
use daemon::status::StatusPort;

use crate::config::Config;
use crate::globals::Current;
use crate::metrics::{HttpMetrics, Shown};
use crate::service::HttpService;

/// A running httpd.
pub struct Httpd {
    globals: Current,
    server: Server,
    metrics: Arc<HttpMetrics>,
    port: StatusPort,
}

/// Runs an httpd until the stop.
///
/// # Errors
/// It cannot start; the error says why.
pub fn run(config: Config, life: &mut Life<Config>) -> anyhow::Result<()> {
    let httpd = Httpd::start(&config)?;
    life.serve(|config| {
        httpd.reload(config);
        Ok(())
    });
    httpd.shutdown();
    Ok(())
}

impl Httpd {
    /// Serves. Trackers and storages are looked for when a request needs them.
    ///
    /// # Errors
    /// The address to listen on is not to be had.
    pub fn start(config: &Config) -> anyhow::Result<Httpd> {
        let metrics = Arc::new(HttpMetrics::default());
        let globals = Current::new(config, Arc::clone(&metrics));
        let frame = &metrics.frame;
        let http = Http::new(HttpService::new(globals.clone()), Arc::clone(frame));
        let server = Server::start("httpd", config.listen, &config.server, http)
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let shown = Shown(Arc::clone(&metrics));
        let port = StatusPort::start("tnv-httpd", &config.status, frame, shown)?;
        Ok(Httpd {
            globals,
            server,
            metrics,
            port,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Takes on the settings that a running one can: requests that begin from now on see them.
    pub fn reload(&self, config: &Config) {
        self.globals.change(config);
        self.server.reload(&config.server);
    }

    /// Where it tells how it is, unless that is off.
    pub fn status_addr(&self) -> Option<SocketAddr> {
        self.port.addr()
    }

    /// Finishes the streams in flight until the configured deadline.
    pub fn shutdown(self) {
        self.metrics.frame.begin_stop();
        self.server.shutdown();
        self.port.shutdown();
    }
}
