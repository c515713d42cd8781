//! Membership: one thread per tracker joins, beats and leaves.

pub(crate) mod ability;
mod registration;
pub(crate) mod report;
mod session;

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Stop;
use base::thread::{self, Thread};
use client::ConnectionConfig;
use net::Server;
use parking_lot::{Mutex, RwLock};
use proto::Address;
use proto::tracker::Member;

use crate::clock::epoch_secs;
use crate::config::Config;
use crate::globals::{Globals, connection_config};

use registration::Registration;
use session::TrackerSession;

/// Longest wait for a tracker's reply; a stop may take as long.
const IO_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time to leave all trackers.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The tracker threads.
pub(crate) struct Membership {
    registration: Arc<Registration>,
    threads: Vec<TrackerThread>,
}

/// The thread for one tracker.
struct TrackerThread {
    tracker: Address,
    stop: Stop,
    thread: Thread,
}

impl Membership {
    /// Starts the threads. Clients reach this storage at the port of `server`.
    ///
    /// # Errors
    /// As [`Membership::reload`].
    pub(crate) fn start(globals: &Arc<Globals>, server: &Server) -> anyhow::Result<Membership> {
        let config = &globals.config;
        let registration = Arc::new(Registration {
            globals: Arc::clone(globals),
            member: Member {
                group: config.group.clone(),
                hostname: config.hostname.clone(),
            },
            port: server.addr().port(),
            start_time: epoch_secs(),
            connections: server.connections(),
            beat_interval: Mutex::new(config.beat_interval.duration()),
            connection: RwLock::default(),
        });
        let mut membership = Membership {
            registration,
            threads: Vec::new(),
        };
        membership.reload(config)?;
        Ok(membership)
    }

    /// Adapts to a new configuration: leaves removed trackers, joins new ones, changes the beat
    /// interval, and uses new keys for new connections.
    ///
    /// # Errors
    /// The key file cannot be used, or no thread can be started.
    pub(crate) fn reload(&mut self, config: &Config) -> anyhow::Result<()> {
        *self.registration.connection.write() = ConnectionConfig {
            io_timeout: IO_TIMEOUT,
            ..connection_config(config)?
        };
        *self.registration.beat_interval.lock() = config.beat_interval.duration();
        let trackers = &config.trackers;
        for tracker in trackers {
            if !self.threads.iter().any(|thread| thread.tracker == *tracker) {
                self.threads
                    .push(TrackerThread::join(&self.registration, tracker)?);
            }
        }
        let threads = std::mem::take(&mut self.threads);
        let (kept, gone) = threads
            .into_iter()
            .partition(|thread| trackers.contains(&thread.tracker));
        self.threads = kept;
        leave(gone);
        Ok(())
    }

    /// Leaves all trackers that answer in time.
    pub(crate) fn leave(self) {
        leave(self.threads);
    }
}

impl TrackerThread {
    fn join(registration: &Arc<Registration>, tracker: &Address) -> std::io::Result<TrackerThread> {
        let (stop, registration) = (Stop::new(), Arc::clone(registration));
        registration.globals.tracker_statuses.add(tracker);
        let (thread_stop, mut session) = (
            stop.clone(),
            TrackerSession::new(registration, tracker.clone()),
        );
        let thread = thread::spawn(&format!("tracker {tracker}"), move || {
            session.run(&thread_stop);
            session
                .registration
                .globals
                .tracker_statuses
                .remove(&session.tracker);
        })?;
        Ok(TrackerThread {
            tracker: tracker.clone(),
            stop,
            thread,
        })
    }
}

fn leave(threads: Vec<TrackerThread>) {
    for thread in &threads {
        thread.stop.trip();
    }
    let threads = threads.into_iter().map(|thread| thread.thread);
    thread::join_or_leave(threads, Instant::now() + LEAVE_TIMEOUT);
}
