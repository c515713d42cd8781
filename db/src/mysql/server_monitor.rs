//! The monitor thread chooses the server. It checks the servers after a failed call, every second while
//! none serves, and every half minute for one earlier in the list: all daemons list the servers in the
//! same order, so that all of them write to the same one. It also checks the server of an idle daemon
//! every half minute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Stop;
use base::thread::{self, Thread};
use crossbeam_channel::RecvTimeoutError;
use parking_lot::Mutex;

use super::connect::{Connector, Service, follow_cluster};
use super::pool::{Pool, ServerStatus};
use super::schema::Schema;
use crate::{CLOSE_TIME, DbError};

const AWAY_INTERVAL: Duration = Duration::from_secs(1);
/// Short in tests, which wait for it.
const RETURN_INTERVAL: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });

pub(super) struct ServerMonitor(Mutex<Option<Thread>>);

impl ServerMonitor {
    pub(super) fn start(
        pool: Arc<Pool>,
        connector: Arc<Connector>,
        schema: &'static Schema,
        closing: Stop,
    ) -> Result<ServerMonitor, DbError> {
        let mut monitor = MonitorThread {
            pool,
            connector,
            schema,
            closing,
            logged: Logged::Nothing,
        };
        let thread = thread::spawn("db-watch", move || monitor.run());
        let thread = thread.map_err(|e| DbError::Unavailable {
            what: "start its monitor thread",
            source: Arc::new(e),
        })?;
        Ok(ServerMonitor(Mutex::new(Some(thread))))
    }

    /// Joins the thread within [`CLOSE_TIME`]: a server may be silent. The lock is held meanwhile, so that
    /// a second close returns after the end, too.
    pub(super) fn join(&self) {
        let mut thread = self.0.lock();
        thread::join_or_leave(thread.take(), Instant::now() + CLOSE_TIME);
    }
}

/// State of the thread.
struct MonitorThread {
    pool: Arc<Pool>,
    connector: Arc<Connector>,
    schema: &'static Schema,
    closing: Stop,
    logged: Logged,
}

/// The state that was logged latest; each change is logged once.
enum Logged {
    Nothing,
    Served(usize),
    ReadsOnly(usize),
    Failed(String),
}

impl MonitorThread {
    fn run(&mut self) {
        loop {
            if let Some(interval) = self.look() {
                match self.pool.woken().recv_timeout(interval) {
                    Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            if self.closing.is_tripped() {
                return;
            }
        }
    }

    /// Checks the servers as far as needed. Returns the time until the next check.
    fn look(&mut self) -> Option<Duration> {
        match self.pool.in_use() {
            Some((_, true)) => self.search(),
            Some((host, false)) if self.is_to_be_left(host) => self.search(),
            Some((host, false)) => {
                self.look_for_earlier(host);
                Some(RETURN_INTERVAL)
            }
            None => self.search(),
        }
    }

    /// True if the server in use takes no writes, or is unused and does not serve.
    fn is_to_be_left(&self, host: usize) -> bool {
        match self.serves(host) {
            Ok(service) => service.reads_only().is_some(),
            Err(_) => self.pool.is_unused_for(RETURN_INTERVAL),
        }
    }

    /// Finds the first server of the list that serves.
    fn search(&mut self) -> Option<Duration> {
        match self.first_that_serves(self.connector.hosts().len()) {
            Ok((host, service)) => {
                let reads_only = service.reads_only();
                self.tell_of_service(host, reads_only.as_ref());
                let interval = match reads_only {
                    Some(_) => AWAY_INTERVAL,
                    // A call that fails meanwhile wakes the monitor.
                    None => RETURN_INTERVAL,
                };
                self.pool.open(host, reads_only);
                Some(interval)
            }
            Err(error) => {
                self.tell_of_failure(&error);
                self.pool.shut(error);
                Some(AWAY_INTERVAL)
            }
        }
    }

    fn look_for_earlier(&mut self, in_use: usize) {
        let earlier = (0..in_use).find(|&host| matches!(self.serves(host), Ok(Service::Full)));
        // The server in use may have failed meanwhile; then `search` follows.
        let is_open = self
            .pool
            .look(|status| matches!(status, ServerStatus::Open(_)));
        if let (Some(host), true) = (earlier, is_open) {
            self.tell_of_service(host, None);
            self.pool.open(host, None);
        }
    }

    /// Prefers a server that serves fully, then one that may block, then one that takes reads only.
    fn first_that_serves(&self, count: usize) -> Result<(usize, Service), DbError> {
        let (mut poor, mut reads_only) = (None, None);
        let mut error = None;
        for host in 0..count {
            if self.closing.is_tripped() {
                return Err(DbError::Closed);
            }
            match self.serves(host) {
                Ok(Service::Full) => return Ok((host, Service::Full)),
                Ok(Service::Poor) => poor = poor.or(Some((host, Service::Poor))),
                Ok(service) => reads_only = reads_only.or(Some((host, service))),
                // Report the error of the first server.
                Err(e) => error = error.or(Some(e)),
            }
        }
        let second = poor.or(reads_only);
        second.ok_or_else(|| error.unwrap_or(DbError::Closed))
    }

    /// Checks that a server serves and has the tables.
    fn serves(&self, host: usize) -> Result<Service, DbError> {
        let (mut session, service) = self
            .connector
            .probe(host)
            .map_err(|failure| self.schema.reason(failure))?;
        if self.schema.check(&mut session).is_err() {
            // Another node may have made them just now.
            follow_cluster(&mut session).map_err(|failure| self.schema.reason(failure))?;
            self.schema.check(&mut session)?;
        }
        if matches!(service, Service::ReadsOnly(_)) {
            return Ok(service);
        }
        let refusal = self.schema.refuses_writes(&mut session);
        Ok(refusal.map_or(service, |why| Service::of_reads_only(why.to_string())))
    }

    fn tell_of_service(&mut self, host: usize, reads_only: Option<&DbError>) {
        let name = &self.connector.hosts()[host];
        if let Some(why) = reads_only {
            if !matches!(self.logged, Logged::ReadsOnly(before) if before == host) {
                let why = anyhow::Error::from(why.clone());
                log::warn!("database on {name} is read, and takes no writes: {why:#}; trying on");
            }
            self.logged = Logged::ReadsOnly(host);
            return;
        }
        match self.logged {
            Logged::Nothing => log::info!("database on {name} in use"),
            Logged::Failed(_) => log::info!("database is back, on {name}"),
            Logged::ReadsOnly(_) => log::info!("database takes writes again, on {name}"),
            Logged::Served(before) if before == host => {}
            Logged::Served(before) => {
                let before = &self.connector.hosts()[before];
                log::warn!("database on {name} in use, no longer on {before}");
            }
        }
        self.logged = Logged::Served(host);
    }

    fn tell_of_failure(&mut self, error: &DbError) {
        let text = format!("{:#}", anyhow::Error::from(error.clone()));
        if self.closing.is_tripped()
            || matches!(&self.logged, Logged::Failed(told) if *told == text)
        {
            return;
        }
        log::warn!("{}: {text}; trying on", self.connector);
        self.logged = Logged::Failed(text);
    }
}
