//! The running process: signals of the operator, and notifications to its starter.

use std::time::Duration;

use base::Stop;
use crossbeam_channel::{Receiver, select};

use crate::config::{Config, Settings};
use crate::metrics::IntCounter;
use crate::process::{Notifier, background};

mod reload;

pub(crate) use reload::Reloader;

/// Longest time of a stop beyond `stop_timeout`: a storage leaves the trackers before, threads and
/// databases are closed after it. A little more than the sum of their deadlines.
const STOP_REST: Duration = Duration::from_secs(25);

/// A daemon's view of its process.
pub(crate) struct DaemonHandle<S> {
    pub(crate) stop: Stop,
    pub(crate) hangups: Receiver<()>,
    pub(crate) notifier: Notifier,
    pub(crate) reloader: Reloader<S>,
}

impl<S: Settings> DaemonHandle<S> {
    /// Notifies the starter that the daemon serves, and returns at a stop (SIGTERM, SIGINT). On SIGHUP reads
    /// the configuration again and passes the settings in force to `reload`; if that fails, the daemon keeps
    /// its settings.
    pub(crate) fn serve(&mut self, mut reload: impl FnMut(&Config<S>) -> anyhow::Result<()>) {
        self.tell_ready();
        loop {
            select! {
                recv(self.stop.channel()) -> _ => break,
                recv(self.hangups) -> _ => {
                    self.notifier.reloading();
                    self.reloader.reload(&mut reload);
                    self.notifier.ready();
                }
            }
        }
        log::info!("stopping");
        self.notifier
            .stopping(self.reloader.stop_timeout() + STOP_REST);
    }

    /// The counter of log lines that could not be written.
    pub(crate) fn lost_log_lines(&self) -> IntCounter {
        self.reloader.log().lost()
    }

    fn tell_ready(&self) {
        self.notifier.ready();
        if background::is_background()
            && let Err(e) = background::tell_starter()
        {
            log::warn!("the standard streams stay open: {e}");
        }
    }
}
