//! The watcher thread: it chooses the server. It looks when a call says that a server failed,
//! every second while none serves, and every half minute for one that stands earlier in the list:
//! all daemons list the servers in the same order, so that all of them write on the same one. The
//! server of a daemon that has nothing to do is looked at every half minute, too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Stop;
use base::thread::{self, Thread};
use crossbeam_channel::RecvTimeoutError;
use parking_lot::Mutex;

use super::connect::{Connector, Service, follow_cluster};
use super::pool::{Gate, Pool};
use super::schema::Schema;
use crate::{CLOSE_TIME, DbError};

const AWAY_INTERVAL: Duration = Duration::from_secs(1);
/// Short in tests, which wait for it.
const RETURN_INTERVAL: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });

pub(super) struct Watcher(Mutex<Option<Thread>>);

impl Watcher {
    pub(super) fn start(
        pool: Arc<Pool>,
        connector: Arc<Connector>,
        schema: &'static Schema,
        closing: Stop,
    ) -> Result<Watcher, DbError> {
        let mut watch = Watch {
            pool,
            connector,
            schema,
            closing,
            last: Last::Nothing,
        };
        let thread = thread::spawn("db-watch", move || watch.run());
        let thread = thread.map_err(|e| DbError::Unavailable {
            what: "start its watcher thread",
            source: Arc::new(e),
        })?;
        Ok(Watcher(Mutex::new(Some(thread))))
    }

    /// Waits for its end, but not for long: a server may be silent. The lock is held meanwhile, so
    /// that a second closer returns after the end too.
    pub(super) fn join(&self) {
        let mut thread = self.0.lock();
        thread::join_or_leave(thread.take(), Instant::now() + CLOSE_TIME);
    }
}

/// What belongs to the thread.
struct Watch {
    pool: Arc<Pool>,
    connector: Arc<Connector>,
    schema: &'static Schema,
    closing: Stop,
    last: Last,
}

/// What the log was told last: each thing once.
enum Last {
    Nothing,
    Served(usize),
    ReadsOnly(usize),
    Failed(String),
}

impl Watch {
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

    /// Looks as far as there is reason to, and tells how long nothing has to be done.
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

    /// Whether the server in use takes no more writes, or nobody uses it and it does not serve.
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
                    // Once around: what failed since then has woken us.
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
        // The one in use may have failed meanwhile; then the search is next.
        let is_open = self.pool.look(|gate| matches!(gate, Gate::Open(_)));
        if let (Some(host), true) = (earlier, is_open) {
            self.tell_of_service(host, None);
            self.pool.open(host, None);
        }
    }

    /// A server that serves well has precedence, then one that serves somehow, then one that takes
    /// reads only.
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
                // What the first one says is most to the point.
                Err(e) => error = error.or(Some(e)),
            }
        }
        let second = poor.or(reads_only);
        second.ok_or_else(|| error.unwrap_or(DbError::Closed))
    }

    /// Whether a server can be used: it serves, and it has our tables.
    fn serves(&self, host: usize) -> Result<Service, DbError> {
        let (mut session, service) = self
            .connector
            .probe(host)
            .map_err(|failure| self.schema.reason(failure))?;
        if self.schema.check(&mut session).is_err() {
            // Another node may have just made them.
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
            if !matches!(self.last, Last::ReadsOnly(before) if before == host) {
                let why = anyhow::Error::from(why.clone());
                log::warn!("database on {name} is read, and takes no writes: {why:#}; trying on");
            }
            self.last = Last::ReadsOnly(host);
            return;
        }
        match self.last {
            Last::Nothing => log::info!("database on {name} in use"),
            Last::Failed(_) => log::info!("database is back, on {name}"),
            Last::ReadsOnly(_) => log::info!("database takes writes again, on {name}"),
            Last::Served(before) if before == host => {}
            Last::Served(before) => {
                let before = &self.connector.hosts()[before];
                log::warn!("database on {name} in use, no longer on {before}");
            }
        }
        self.last = Last::Served(host);
    }

    fn tell_of_failure(&mut self, error: &DbError) {
        let text = format!("{:#}", anyhow::Error::from(error.clone()));
        if self.closing.is_tripped() || matches!(&self.last, Last::Failed(told) if *told == text) {
            return;
        }
        log::warn!("{}: {text}; trying on", self.connector);
        self.last = Last::Failed(text);
    }
}
