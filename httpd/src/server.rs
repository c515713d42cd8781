//! The httpd, as the frame of all daemons starts, reloads and stops it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{Stop, Ticker, thread};
use daemon::{Application, Ports, Running, Serving};
use net::http::{Http, TrustedProxies};

use crate::config::{Config, Settings};
use crate::globals::CurrentGlobals;
use crate::handler::HttpHandler;
use crate::metrics::HttpMetrics;
use crate::service::Service;
use crate::status::StatusView;
use crate::tracker_monitor::TrackerMonitor;

/// Interval at which files are closed that no request has asked for.
const CLOSE_INTERVAL: Duration = Duration::from_secs(5);
/// How long a stop waits for the jobs: a tracker may be silent.
const JOBS_END: Duration = Duration::from_secs(1);

/// A running httpd. Trackers and storages are connected when a request needs them.
pub type Httpd = Running<App>;

/// The state that the threads of an httpd share, and its jobs.
pub struct App {
    globals: CurrentGlobals,
    proxies: TrustedProxies,
    stop: Stop,
    /// Absent if the status port is off.
    monitor: Option<Ticker>,
    /// Closes files that no request asks for.
    closer: Ticker,
}

impl Application for App {
    type Settings = Settings;
    const NAME: &'static str = "tnv-httpd";
    const ABOUT: &'static str = "Streams the files of a tnv cluster over HTTP";

    fn start(config: Config, ports: Ports) -> anyhow::Result<(App, Serving)> {
        let metrics = Arc::new(HttpMetrics::default());
        let frame = &metrics.frame;
        let globals = CurrentGlobals::new(&config, Arc::clone(&metrics))?;
        let service = Service::new(globals.clone(), config.server.workers);
        let proxies = TrustedProxies::new(&config.trusted_proxies, per_client(&config));
        let http = Http::new(HttpHandler::new(service), Arc::clone(frame)).behind(proxies.clone());
        let trackers = TrackerMonitor::default();
        let view = StatusView {
            metrics: Arc::clone(&metrics),
            trackers: trackers.clone(),
        };
        let serving = ports.serve::<App, _>(&config, frame, http, |_| view)?;
        let stop = Stop::new();
        let monitor = match serving.status.addr() {
            Some(_) => Some(trackers.start(&globals, &stop)?),
            None => None,
        };
        let closer = {
            let globals = globals.clone();
            let close = move || globals.get().client.close_expired();
            Ticker::start("files", CLOSE_INTERVAL, stop.clone(), close)?
        };
        let app = App {
            globals,
            proxies,
            stop,
            monitor,
            closer,
        };
        Ok((app, serving))
    }

    /// Applies to requests that begin from now on.
    fn reload(&mut self, config: &Config) -> anyhow::Result<()> {
        self.globals.replace(config)?;
        self.proxies
            .reload(&config.trusted_proxies, per_client(config));
        Ok(())
    }

    fn stop(self, finish_requests: impl FnOnce()) {
        finish_requests();
        self.stop.trip();
        let jobs = self.monitor.into_iter().chain([self.closer]);
        let jobs = jobs.map(Ticker::into_thread);
        thread::join_or_leave(jobs, Instant::now() + JOBS_END);
    }
}

/// The limit of connections of one address, which limits the requests of a client behind a proxy.
fn per_client(config: &Config) -> Option<u32> {
    config.server.connections_per_address
}
