//! Start and stop of an httpd, in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use base::{Stop, Ticker, thread};
use daemon::status::StatusPort;
use daemon::{DaemonHandle, Ports};
use net::Server;
use net::http::{Http, TrustedProxies};

use crate::config::Config;
use crate::globals::CurrentGlobals;
use crate::handler::HttpHandler;
use crate::metrics::HttpMetrics;
use crate::service::Service;
use crate::status::StatusView;
use crate::tracker_monitor::TrackerMonitor;

/// How long a stop waits for the tracker monitor: a tracker may be silent.
const MONITOR_END: Duration = Duration::from_secs(1);

/// A running httpd.
pub struct Httpd {
    globals: CurrentGlobals,
    proxies: TrustedProxies,
    server: Server,
    metrics: Arc<HttpMetrics>,
    port: StatusPort,
    stop: Stop,
    /// Absent if the status port is off.
    monitor: Option<Ticker>,
}

/// Runs an httpd until the stop.
///
/// # Errors
/// The httpd cannot start.
pub fn run(config: Config, handle: &mut DaemonHandle<Config>) -> anyhow::Result<()> {
    let httpd = Httpd::start(&config)?;
    httpd.metrics.frame.adopt(handle.lost_log_lines());
    handle.serve(|config| httpd.reload(config));
    httpd.shutdown();
    Ok(())
}

impl Httpd {
    /// Starts to serve. Trackers and storages are connected when a request needs them.
    ///
    /// # Errors
    /// It cannot listen on an address.
    pub fn start(config: &Config) -> anyhow::Result<Httpd> {
        let ports = Ports::bind(config.listen, &config.status)?;
        let metrics = Arc::new(HttpMetrics::default());
        let globals = CurrentGlobals::new(config, Arc::clone(&metrics))?;
        let frame = &metrics.frame;
        let service = Service::new(globals.clone(), config.server.workers);
        let proxies = TrustedProxies::new(&config.trusted_proxies);
        let http = Http::new(HttpHandler::new(service), Arc::clone(frame)).behind(proxies.clone());
        let server = Server::serve("httpd", ports.service, &config.server, http)
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let trackers = TrackerMonitor::default();
        let view = StatusView {
            metrics: Arc::clone(&metrics),
            trackers: trackers.clone(),
        };
        let port = StatusPort::start("tnv-httpd", ports.status, frame, view)?;
        let stop = Stop::new();
        let monitor = match port.addr() {
            Some(_) => Some(trackers.start(&globals, &stop)?),
            None => None,
        };
        Ok(Httpd {
            globals,
            proxies,
            server,
            metrics,
            port,
            stop,
            monitor,
        })
    }

    /// The listen address.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Applies the settings that can change at run time to requests that begin from now on.
    ///
    /// # Errors
    /// A key file cannot be used.
    pub fn reload(&self, config: &Config) -> anyhow::Result<()> {
        self.globals.replace(config)?;
        self.proxies.reload(&config.trusted_proxies);
        self.server.reload(&config.server);
        Ok(())
    }

    /// The address of the status port; absent if it is off.
    pub fn status_addr(&self) -> Option<SocketAddr> {
        self.port.addr()
    }

    /// Finishes the streams in flight until the configured deadline.
    pub fn shutdown(self) {
        self.metrics.frame.begin_stop();
        self.server.shutdown();
        self.stop.trip();
        let monitor = self.monitor.map(Ticker::into_thread);
        thread::join_or_leave(monitor, Instant::now() + MONITOR_END);
        self.port.shutdown();
    }
}
