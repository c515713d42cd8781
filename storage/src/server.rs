//! The storage, as the frame of all daemons starts, reloads and stops it.

use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{self, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::thread;
use daemon::{Application, Ports, Running, Serving};
use log::warn;
use net::access_control::AccessControl;
use net::wire::Wire;
use net::{LocalPort, Server};
use proto::ServerKind;
use proto::storage::LocalSocket;

use crate::clock::epoch_secs;
use crate::config::{Config, Settings};
use crate::globals::Globals;
use crate::service::StorageService;
use crate::status::Jobs;
use crate::status_view::StatusView;
use crate::tracker::Membership;

/// Longest wait for the periodic jobs at a stop: a disk may hold them.
const JOBS_END: Duration = Duration::from_secs(2);

/// A running storage.
pub type Storage = Running<App>;

/// The state that the threads of a storage share, its jobs and its membership.
pub struct App {
    globals: Arc<Globals>,
    access: Arc<AccessControl>,
    jobs: Jobs,
    membership: Membership,
}

impl Application for App {
    type Settings = Settings;
    const NAME: &'static str = "tnv-storage";
    const ABOUT: &'static str = "Keeps the files of one group of a tnv cluster";

    fn start(config: Config, ports: Ports) -> anyhow::Result<(App, Serving)> {
        let globals = Globals::open(config)?;
        let (config, metrics) = (&globals.config, &globals.metrics.frame);
        let service = StorageService::new(Arc::clone(&globals));
        let access = Arc::new(AccessControl::new(ServerKind::Storage, &config.access)?);
        let wire = Wire::new(service, config.hostname.as_str(), Arc::clone(metrics));
        let wire = wire.allowing(Arc::clone(&access));
        let mut serving = ports.serve::<App, _>(config, metrics, wire, |server| StatusView {
            globals: Arc::clone(&globals),
            connections: server.connections(),
            up_since: epoch_secs(),
        })?;
        serve_locally(&globals, &mut serving.server);
        let app = App {
            jobs: Jobs::start(&globals)?,
            membership: Membership::start(&globals, &serving.server)?,
            globals,
            access,
        };
        Ok((app, serving))
    }

    /// # Errors
    /// A key file cannot be used, or no thread can be started for a new tracker.
    fn reload(&mut self, config: &Config) -> anyhow::Result<()> {
        self.access.reload(&config.access)?;
        self.membership.reload(config)?;
        self.globals.reload(config)?;
        Ok(())
    }

    /// Leaves the trackers first, so that clients go elsewhere.
    fn stop(self, finish_requests: impl FnOnce()) {
        self.membership.leave();
        finish_requests();
        thread::join_or_leave(self.jobs.stop(), Instant::now() + JOBS_END);
        self.globals.files.close();
    }
}

/// Serves at the Unix socket, too. Without it, processes of this machine read as those of others do.
fn serve_locally(globals: &Globals, server: &mut Server) {
    let Some(path) = globals.config.local_socket() else {
        return;
    };
    let mut serve = || {
        let path = path::absolute(&path)?;
        server.serve_locally(LocalPort::bind(&path)?)?;
        Ok(path)
    };
    match serve() {
        Ok(path) => {
            let socket = LocalSocket {
                id: rand::random(),
                path: path.into_os_string().into_vec(),
            };
            // Nobody else sets it.
            let _ = globals.local_socket.set(socket);
        }
        Err::<PathBuf, io::Error>(e) => {
            let path = path.display();
            warn!(
                "local_socket {path} cannot be opened, httpd on this machine reads over TCP: {e}"
            );
        }
    }
}
