//! A request for a file on its way: the questions to storages, and what comes of their answers.
//!
//! No worker waits for an answer. What a worker does wait for (a tracker, a connection, a storage of
//! the C++ system) is limited for each group; a query above the limit waits without one.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Client, Error, Opening};
use net::http::{Answer, Method, Request, Response};
use net::{Pending, Resumed, Wake};
use proto::GroupName;
use proto::storage::Span;

use crate::body::FIRST_PIECE;
use crate::conditional;
use crate::entity::Entity;
use crate::limiter::{Permit, Servers};
use crate::range;
use crate::service::{Found, Service};
use crate::signature;
use crate::target::Target;

/// Time after which a query that a limit held up is tried again.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest time that a limit may hold up a query; then its client is told to come back.
const HELD_UP_MAX: Duration = Duration::from_secs(5);
/// Enough to tell the type of a file by.
const LOOK: Span = Span {
    offset: 0,
    size: signature::LEN,
};

/// A request for a file.
pub(crate) struct Query {
    service: Arc<Service>,
    request: Request,
    target: Target,
    /// Holds the files of the user, once that was found out.
    group: Option<GroupName>,
    /// Only what is known of the file is asked for, and the bytes that tell its type.
    looks: bool,
    /// Since when a limit holds it up.
    held_up: Option<Instant>,
    /// Counts it among the questions that are out.
    question: Option<Permit>,
}

/// What a worker has to do for a query.
enum Work {
    /// Ask a storage for a part of the file.
    Ask(Span),
    /// Ask the next storage: the one that was asked is silent.
    AskNext(Opening),
    /// Make an answer of what a storage said.
    Finish(Opening),
}

/// What comes of that.
enum Step {
    Work(Work),
    /// A storage was asked.
    Asked(Opening),
    /// The group is slow, and has its share of the workers.
    HeldUp(Work),
    Done(Response),
}

impl Query {
    pub(crate) fn new(service: Arc<Service>, request: Request, target: Target) -> Query {
        Query {
            service,
            request,
            target,
            group: None,
            looks: false,
            held_up: None,
            question: None,
        }
    }

    /// Asks a storage.
    pub(crate) fn begin(mut self) -> Answer {
        let span = self.first_span();
        match self.run(Work::Ask(span)) {
            Resumed::Done(response) => Answer::Now(response),
            Resumed::Again(pending) => Answer::Later(pending),
        }
    }

    /// The part to ask for along with what is known of the file, if it is likely to be sent: one
    /// question to a storage costs half of two.
    fn first_span(&mut self) -> Span {
        let likely =
            self.request.method == Method::Get && !conditional::is_conditional(&self.request);
        let span = match self.request.header("range") {
            _ if !likely => None,
            None => Some(Span::WHOLE),
            Some(field) => range::span(field),
        };
        self.looks = span.is_none();
        span.map_or(LOOK, at_first)
    }

    fn run(mut self, mut work: Work) -> Resumed<Response> {
        loop {
            let step = self.step(work);
            let step = step.unwrap_or_else(|e| Step::Done(self.service.failure(&self.target, &e)));
            work = match step {
                Step::Work(next) => next,
                Step::Asked(opening) => return self.wait(State::Asked(opening)),
                Step::HeldUp(work) => {
                    let since = *self.held_up.get_or_insert_with(Instant::now);
                    if since.elapsed() >= HELD_UP_MAX {
                        return Resumed::Done(self.service.busy(&self.target));
                    }
                    return self.wait(State::HeldUp(work));
                }
                Step::Done(response) => return Resumed::Done(response),
            }
        }
    }

    fn wait(self, state: State) -> Resumed<Response> {
        Resumed::Again(Box::new(Waiting { query: self, state }))
    }

    fn step(&mut self, work: Work) -> Result<Step, Error> {
        let service = Arc::clone(&self.service);
        let client = &service.globals.look().client;
        let Some(group) = self.group(client)? else {
            return Ok(Step::HeldUp(work));
        };
        let servers = Servers::Storages(group.clone());
        if self.question.is_none() {
            self.question = service.limits.questions.admit(&servers);
        }
        let permit = service.limits.workers.admit(&servers);
        if self.question.is_none() || permit.is_none() {
            return Ok(Step::HeldUp(work));
        }
        self.held_up = None;
        match work {
            Work::Ask(span) => Ok(asked(client.begin_open(&self.target.key, span)?)),
            Work::AskNext(mut opening) => {
                opening.abandon_stream();
                Ok(asked(opening))
            }
            Work::Finish(opening) => self.finish(opening, group),
        }
    }

    /// The group of the file; `None` if the trackers are slow and have their share of the workers.
    fn group(&mut self, client: &Client) -> Result<Option<GroupName>, Error> {
        let key = &self.target.key;
        if self.group.is_none() {
            self.group = client.remembered_group(key);
        }
        if self.group.is_none()
            && let Some(_permit) = self.service.limits.workers.admit(&Servers::Trackers)
        {
            self.group = Some(client.group(key)?);
        }
        Ok(self.group.clone())
    }

    fn finish(&mut self, opening: Opening, group: GroupName) -> Result<Step, Error> {
        let (stat, download) = opening.finish()?;
        self.question = None;
        let mut found = Found {
            group,
            entity: Entity::from(stat),
            first: None,
            content: None,
        };
        let looked = std::mem::take(&mut self.looks);
        if !looked {
            found.content = Some(download);
        } else if let Some(span) = self.service.content(&self.request, &found.entity) {
            // Its connection can carry the next question.
            drop(download);
            return Ok(Step::Work(Work::Ask(at_first(span))));
        } else {
            found.first = Some(download);
        }
        let response = self.service.answer(&self.request, &self.target, found)?;
        Ok(Step::Done(response))
    }
}

/// A query without a worker.
struct Waiting {
    query: Query,
    state: State,
}

/// What it waits for.
enum State {
    /// An answer.
    Asked(Opening),
    /// That a limit lets it go on with this.
    HeldUp(Work),
}

impl Pending<Response> for Waiting {
    fn socket(&self) -> Option<&TcpStream> {
        match &self.state {
            State::Asked(opening) => opening.stream(),
            State::HeldUp(_) => None,
        }
    }

    fn patience(&self) -> Duration {
        match &self.state {
            State::Asked(opening) => opening.time_left(),
            State::HeldUp(_) => PAUSE,
        }
    }

    fn pause(&self) -> Duration {
        match &self.state {
            State::Asked(_) => Duration::ZERO,
            State::HeldUp(_) => PAUSE,
        }
    }

    fn resume(self: Box<Self>, wake: Wake) -> Resumed<Response> {
        let Waiting { query, state } = *self;
        let mut opening = match state {
            State::HeldUp(work) => return query.run(work),
            State::Asked(opening) => opening,
        };
        if opening.has_answer() {
            return query.run(Work::Finish(opening));
        }
        if wake.silent || opening.time_left().is_zero() {
            return query.run(Work::AskNext(opening));
        }
        // An answer that drips holds no worker, and no longer than a silent storage.
        query.wait(State::Asked(opening))
    }
}

/// A storage that cannot be asked without waiting for its answer is asked at the end.
fn asked(opening: Opening) -> Step {
    match opening.stream() {
        Some(_) => Step::Asked(opening),
        None => Step::Work(Work::Finish(opening)),
    }
}

/// As much of a span as is asked for at once.
fn at_first(span: Span) -> Span {
    let size = match span.size {
        0 => FIRST_PIECE,
        size => size.min(FIRST_PIECE),
    };
    Span { size, ..span }
}
