//! `tnv bench`: puts load on a cluster, compares every byte, and tells rates and times.

mod args;
mod failure;
mod files;
mod http;
mod mix;
mod report;
mod worker;

use std::sync::Arc;
use std::thread;

use client::Client;
use load::{Failure, Figures, Length, Moment, Pace, drive};
use proto::idserver::IdRequest;
use proto::{Address, IdKey};

pub(super) use args::BenchArgs;

use super::Context;
use super::exit::{Exit, Mistake};
use super::settings::mistake;
use files::{Shelf, Stored, load_list, save_list};
use http::{Player, Site};
use mix::Operation;
use report::Event;
use worker::{Hand, Peers, Task};

/// Runs a measurement from the storing of files to their removal.
pub(super) fn run(context: &Context, args: &BenchArgs) -> anyhow::Result<Exit> {
    let bench = Bench::new(context, args)?;
    let (files, mut keepers) = bench.prepare()?;
    let hands = bench.hands(args.threads.into(), files)?;
    let (mut figures, mut hands) = bench.measure(hands)?;
    bench.finish(&mut figures, &mut hands, &mut keepers)?;
    let text = report::table(&figures);
    context.output.result(&figures, &text)?;
    Ok(match figures.errors.contains_key(failure::WRONG_BYTES) {
        true => Exit::Damaged,
        false if figures.errors.is_empty() => Exit::Ok,
        false => Exit::Other,
    })
}

/// The measurement that was asked for, checked.
struct Bench<'a> {
    context: &'a Context,
    args: &'a BenchArgs,
    shelf: Option<Shelf>,
    site: Option<Site>,
    idservers: Vec<Address>,
}

impl<'a> Bench<'a> {
    fn new(context: &'a Context, args: &'a BenchArgs) -> anyhow::Result<Bench<'a>> {
        let idservers = args.idservers.as_deref().unwrap_or_default();
        let idservers = Address::parse_list(idservers).map_err(mistake)?;
        if args.mix.any(|operation| operation == Operation::Id) && idservers.is_empty() {
            return Err(Mistake::usage("operation id needs --idservers").into());
        }
        if args.mix.any(Operation::is_http) && args.http.is_none() {
            return Err(Mistake::usage("HTTP operations need --http").into());
        }
        if args.range == 0 {
            return Err(Mistake::usage("--range is zero").into());
        }
        let mut bench = Bench {
            context,
            args,
            shelf: None,
            site: None,
            idservers,
        };
        if bench.needs_user() {
            bench.shelf = Some(bench.shelf()?);
        }
        bench.site = bench.site()?;
        Ok(bench)
    }

    /// Whether anything is done but asking for numbers, or for listed files over HTTP.
    fn needs_user(&self) -> bool {
        let needs = |operation: Operation| {
            let is_listed = operation.is_http() && self.args.used.is_some();
            operation != Operation::Id && !is_listed
        };
        self.args.mix.any(needs)
    }

    /// A client of its own, which keeps a connection for each thread.
    fn shelf(&self) -> anyhow::Result<Shelf> {
        let settings = &self.context.settings;
        let mut config = settings.client.clone();
        config.pool.idle_max = self.args.threads.into();
        Ok(Shelf {
            client: Client::new(config),
            app: settings.app.clone(),
            user: settings.user()?.clone(),
        })
    }

    fn site(&self) -> anyhow::Result<Option<Site>> {
        let Some(url) = &self.args.http else {
            return Ok(None);
        };
        let settings = &self.context.settings;
        let user = settings
            .user()
            .map(|user| user.as_str())
            .unwrap_or_default();
        let folder = format!("/files/{}/{user}", settings.app);
        let connection = settings.client.connection.clone();
        Ok(Some(Site::parse(url, &folder, connection)?))
    }

    /// The files to read, and who has stored them and will remove them.
    fn prepare(&self) -> anyhow::Result<(Vec<Stored>, Vec<Hand>)> {
        if let Some(list) = &self.args.used {
            return Ok((load_list(list)?, Vec::new()));
        }
        let n_threads = usize::from(self.args.threads);
        let n_files = match self.args.mix.any(Operation::reads) {
            true => self.args.files.unwrap_or(n_threads).max(1),
            false => 0,
        };
        let mut keepers = self.hands(n_threads.min(n_files), Vec::new())?;
        let n_keepers = keepers.len();
        let failures = each(&mut keepers, |idx, keeper| {
            let share = n_files / n_keepers + usize::from(idx < n_files % n_keepers);
            let meter = load::Meter::default();
            let uploads = (0..share).map(|_| keeper.upload(&meter));
            uploads.filter_map(Result::err).take(1).collect()
        });
        if let Some(failure) = failures.first() {
            each(&mut keepers, |_, keeper| keeper.remove());
            anyhow::bail!("cannot store the files to read: {}", failure.message);
        }
        let files = keepers.iter().flat_map(Hand::own).cloned().collect();
        Ok((files, keepers))
    }

    fn hands(&self, count: usize, files: Vec<Stored>) -> anyhow::Result<Vec<Hand>> {
        let settings = &self.context.settings;
        let id_key = IdKey::new(self.args.id_key.as_str()).map_err(mistake)?;
        let task = Arc::new(Task {
            mix: self.args.mix.clone(),
            sizes: self.args.size.clone(),
            range_len: self.args.range,
            files,
            connection: settings.client.connection.clone(),
            id_request: IdRequest::GetId(id_key),
        });
        let hand = |idx: usize| {
            let trackers = &settings.client.trackers;
            let peers = Peers {
                tracker: trackers[idx % trackers.len()].clone(),
                idserver: (!self.idservers.is_empty())
                    .then(|| self.idservers[idx % self.idservers.len()].clone()),
                player: self.site.clone().map(Player::new),
            };
            Hand::new(Arc::clone(&task), self.shelf.clone(), peers, rand::random())
        };
        Ok((0..count).map(hand).collect())
    }

    fn measure(&self, hands: Vec<Hand>) -> anyhow::Result<(Figures, Vec<Hand>)> {
        let pace = Pace {
            warm_up: self.args.warm_up,
            length: match self.args.count {
                Some(count) => Length::Count(count),
                None => Length::Time(self.args.duration),
            },
        };
        let mut told = Ok(());
        let names = Operation::ALL.map(Operation::name);
        let (mut figures, hands) = drive(&names, hands, pace, &mut |moment| {
            let event = match moment {
                Moment::Begun => "begun",
                Moment::Ended => "ended",
            };
            if told.is_ok() {
                told = self.context.output.result(&Event { event }, "");
            }
        });
        told?;
        figures.operations.retain(|operation| operation.count > 0);
        Ok((figures, hands))
    }

    /// Reads back what was stored meanwhile, and removes it and what was stored before; or lists
    /// it all.
    fn finish(
        &self,
        figures: &mut Figures,
        hands: &mut [Hand],
        keepers: &mut [Hand],
    ) -> anyhow::Result<()> {
        let mut failures = each(hands, |_, hand| hand.read_back());
        match &self.args.keep {
            Some(list) => {
                let all = keepers.iter().chain(hands.iter());
                let files: Vec<Stored> = all.flat_map(Hand::own).cloned().collect();
                save_list(list, &files)?;
            }
            None => {
                failures.extend(each(hands, |_, hand| hand.remove()));
                failures.extend(each(keepers, |_, keeper| keeper.remove()));
            }
        }
        for failure in failures {
            figures.add_errors(&failure.kind, 1, failure.message);
        }
        Ok(())
    }
}

/// Has every hand do the same at once, and collects what failed.
fn each(hands: &mut [Hand], act: impl Fn(usize, &mut Hand) -> Vec<Failure> + Sync) -> Vec<Failure> {
    thread::scope(|scope| {
        let act = &act;
        let threads: Vec<_> = hands
            .iter_mut()
            .enumerate()
            .map(|(idx, hand)| scope.spawn(move || act(idx, hand)))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .flat_map(|result| result.expect("a worker does not panic"))
            .collect()
    })
}
