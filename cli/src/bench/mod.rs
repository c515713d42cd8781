//! `tnv bench`: the options of a measurement, and its figures as text or JSON.

pub(super) mod args;
mod report;

use ::bench::{Length, Moment, Options, Target, Timing, WRONG_BYTES};
use proto::{Address, IdKey};

use args::BenchArgs;

use super::context::Context;
use super::exit::Exit;
use super::settings::usage_error;
use report::Event;

/// Runs a measurement and shows its figures.
pub(super) fn run(context: &Context, args: &BenchArgs) -> anyhow::Result<Exit> {
    let (settings, options) = (&context.settings, options(args)?);
    let user = match options.needs_user() {
        true => Some(settings.user()?),
        false => settings.user().ok(),
    };
    let target = Target {
        client: settings.client.clone(),
        app: settings.app.clone(),
        user: user.cloned(),
    };
    let mut told = Ok(());
    let figures = ::bench::run(&target, &options, &mut |moment| {
        let event = match moment {
            Moment::Begun => "begun",
            Moment::Ended => "ended",
        };
        if told.is_ok() {
            told = context.output.result(&Event { event }, "");
        }
    })?;
    told?;
    let text = report::table(&figures);
    context.output.result(&figures, &text)?;
    Ok(match figures.errors.contains_key(WRONG_BYTES) {
        true => Exit::Damaged,
        false if figures.errors.is_empty() => Exit::Ok,
        false => Exit::Other,
    })
}

fn options(args: &BenchArgs) -> anyhow::Result<Options> {
    let idservers = args.idservers.as_deref().unwrap_or_default();
    let length = args.count.map(Length::Count);
    Ok(Options {
        mix: args.mix.clone(),
        n_threads: args.threads.into(),
        sizes: args.size.clone(),
        n_files: args.files,
        range_len: args.range,
        timing: Timing {
            warm_up: args.warm_up,
            length: length.unwrap_or(Length::Time(args.duration)),
        },
        idservers: Address::parse_list(idservers).map_err(usage_error)?,
        id_key: IdKey::new(args.id_key.as_str()).map_err(usage_error)?,
        http: args.http.clone(),
        keep: args.keep.clone(),
        used: args.used.clone(),
    })
}
