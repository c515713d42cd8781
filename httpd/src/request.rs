//! A request for a file, from the request to a storage to the response.
//!
//! No worker waits for the reply of a storage of this system. Workers that do wait (for a tracker,
//! a connection or a C++ storage) are limited for each group. A request above the limit is parked
//! and tried again.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Client, Download, Error, Opening, RangeSpec, Stat};
use net::http::{Method, Request, Response};
use net::{Answer, Pending, Wake};
use proto::GroupName;
use proto::storage::Attributes;

use crate::body::FIRST_PIECE;
use crate::entity::Entity;
use crate::limiter::{Permit, Servers};
use crate::mime_sniffing;
use crate::precondition;
use crate::range;
use crate::service::{OpenedFile, Service};
use crate::target::Target;

/// Pause before a request above a limit is tried again.
const PAUSE: Duration = Duration::from_millis(250);
/// Limit on the time that a request is above a limit. Then it is refused.
const DELAY_MAX: Duration = Duration::from_secs(5);
/// The first bytes of a file, which tell its type.
const FIRST_BYTES: RangeSpec = RangeSpec {
    offset: 0,
    size: mime_sniffing::LEN,
};

/// A request for a file.
pub(crate) struct FileRequest {
    service: Arc<Service>,
    request: Request,
    target: Target,
    /// The group of the user's files, once it is known.
    group: Option<GroupName>,
    /// True if the first request to a storage is for [`FIRST_BYTES`]: the content of the response
    /// depends on the file's validators.
    stats_first: bool,
    /// Since when a limit delays it.
    delayed_since: Option<Instant>,
    /// Counts it among the requests that wait for storages.
    permit: Option<Permit>,
}

/// The next work of a worker.
enum Work {
    /// Send a request for a part of the file to a storage.
    Ask(RangeSpec),
    /// Ask the next storage: this one did not answer in time.
    AskNext(Opening),
    /// Make a response from a storage's reply.
    Finish(Opening),
}

/// The result of work.
enum Step {
    Work(Work),
    /// Wait for the reply of a storage.
    Wait(Opening),
    /// The group is slow and at its limit.
    Delay(Work),
    Done(Response),
}

impl FileRequest {
    pub(crate) fn new(service: Arc<Service>, request: Request, target: Target) -> FileRequest {
        FileRequest {
            service,
            request,
            target,
            group: None,
            stats_first: false,
            delayed_since: None,
            permit: None,
        }
    }

    /// Sends the first request to a storage.
    pub(crate) fn begin(mut self) -> Answer<Response> {
        let range = self.first_range();
        self.run(Work::Ask(range))
    }

    /// The range of the first request to a storage: the content if it is likely to be sent, because
    /// one request costs half of two.
    fn first_range(&mut self) -> RangeSpec {
        let is_likely =
            self.request.method == Method::Get && !precondition::is_conditional(&self.request);
        let range = match self.request.header("range") {
            _ if !is_likely => None,
            None => Some(RangeSpec::WHOLE),
            Some(field) => range::single(field),
        };
        self.stats_first = range.is_none();
        range.unwrap_or(FIRST_BYTES)
    }

    fn run(mut self, mut work: Work) -> Answer<Response> {
        loop {
            let step = self.step(work);
            let step = step.unwrap_or_else(|e| Step::Done(self.service.failure(&self.target, &e)));
            work = match step {
                Step::Work(next) => next,
                Step::Wait(opening) => return self.wait(State::Asked(opening)),
                Step::Delay(work) => {
                    let since = *self.delayed_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= DELAY_MAX {
                        return Answer::Now(self.service.busy(&self.target));
                    }
                    return self.wait(State::Delayed(work));
                }
                Step::Done(response) => return Answer::Now(response),
            }
        }
    }

    fn wait(self, state: State) -> Answer<Response> {
        let request = self;
        Answer::Later(Box::new(PendingOpen { request, state }))
    }

    fn step(&mut self, work: Work) -> Result<Step, Error> {
        let service = Arc::clone(&self.service);
        let client = &service.globals.get().client;
        // This waits for no server, so no limit applies.
        if let Work::Ask(range) = work
            && let Some((stat, opened, group)) = client.open_kept(&self.target.key, range)
        {
            return self.respond(stat, opened, group);
        }
        let Some(group) = self.group(client)? else {
            return Ok(Step::Delay(work));
        };
        let servers = Servers::Storages(group.clone());
        if self.permit.is_none() {
            self.permit = service.limits.requests.admit(&servers);
        }
        let worker = service.limits.workers.admit(&servers);
        if self.permit.is_none() || worker.is_none() {
            return Ok(Step::Delay(work));
        }
        self.delayed_since = None;
        match work {
            Work::Ask(range) => {
                let opening = client.begin_open(&self.target.key, range, FIRST_PIECE)?;
                Ok(after_asking(opening))
            }
            Work::AskNext(mut opening) => {
                opening.abandon_stream();
                Ok(after_asking(opening))
            }
            Work::Finish(mut opening) => {
                if opening.continue_request() {
                    return Ok(Step::Wait(opening));
                }
                let (stat, opened) = opening.finish()?;
                self.respond(stat, opened, group)
            }
        }
    }

    /// The group of the file. `None` if the trackers are slow and at their limit.
    fn group(&mut self, client: &Client) -> Result<Option<GroupName>, Error> {
        let key = &self.target.key;
        if self.group.is_none() {
            self.group = client.cached_group(key);
        }
        if self.group.is_none()
            && let Some(_worker) = self.service.limits.workers.admit(&Servers::Trackers)
        {
            self.group = Some(client.group(key)?);
        }
        Ok(self.group.clone())
    }

    /// The attributes of the file, if the response depends on them: most files have none that matter, and a request
    /// less is sent.
    fn attributes(&self, stat: &Stat, group: &GroupName) -> Result<Attributes, Error> {
        let Target {
            key,
            name,
            is_attachment,
            ..
        } = &self.target;
        let is_unnamed = *is_attachment && name.is_none();
        if !stat.expires && !is_unnamed {
            return Ok(Attributes::default());
        }
        let servers = Servers::Storages(group.clone());
        match self.service.limits.workers.admit(&servers) {
            Some(_worker) => self.service.globals.get().client.attributes(key),
            // Nobody keeps what may expire at once.
            None => Ok(Attributes {
                expires: stat.expires.then_some(1),
                name: None,
            }),
        }
    }

    fn respond(&mut self, stat: Stat, opened: Download, group: GroupName) -> Result<Step, Error> {
        self.permit = None;
        let entity = Entity::from(stat);
        if std::mem::take(&mut self.stats_first)
            && let Some(range) = self.service.content(&self.request, &entity)
        {
            // Its connection can carry the next request.
            drop(opened);
            return Ok(Step::Work(Work::Ask(range)));
        }
        let attributes = self.attributes(&stat, &group)?;
        let found = OpenedFile {
            group,
            entity,
            attributes,
            opened,
        };
        let response = self.service.answer(&self.request, &self.target, found)?;
        Ok(Step::Done(response))
    }
}

/// A request without a worker.
struct PendingOpen {
    request: FileRequest,
    state: State,
}

enum State {
    /// Waits for the reply of a storage.
    Asked(Opening),
    /// Waits for a limit.
    Delayed(Work),
}

impl Pending<Response> for PendingOpen {
    fn socket(&self) -> Option<&TcpStream> {
        match &self.state {
            State::Asked(opening) => opening.stream(),
            State::Delayed(_) => None,
        }
    }

    fn timeout(&self) -> Duration {
        match &self.state {
            State::Asked(opening) => opening.time_left(),
            State::Delayed(_) => PAUSE,
        }
    }

    fn pause(&self) -> Duration {
        match &self.state {
            State::Asked(_) => Duration::ZERO,
            State::Delayed(_) => PAUSE,
        }
    }

    fn resume(self: Box<Self>, wake: Wake) -> Answer<Response> {
        let PendingOpen { request, state } = *self;
        let mut opening = match state {
            State::Delayed(work) => return request.run(work),
            State::Asked(opening) => opening,
        };
        if opening.has_answer() {
            return request.run(Work::Finish(opening));
        }
        if wake.silent || opening.time_left().is_zero() {
            return request.run(Work::AskNext(opening));
        }
        // A reply that arrives byte by byte holds no worker, and has no more time than a silent
        // storage.
        request.wait(State::Asked(opening))
    }
}

/// A storage that needs the C++ commands is asked by [`Work::Finish`], which waits.
fn after_asking(opening: Opening) -> Step {
    match opening.stream() {
        Some(_) => Step::Wait(opening),
        None => Step::Work(Work::Finish(opening)),
    }
}
