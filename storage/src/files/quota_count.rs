//! Counts files for quotas.

use std::time::Instant;

use base::Stop;
use db::DbError;
use log::warn;
use proto::file_list::ListRequest;

use crate::clock::epoch_secs;
use crate::db::{Selection, TABLES};
use crate::globals::Globals;
use crate::state::quotas::{Scope, Sum};

/// Rows of one statement.
const ROWS: u32 = 5_000;

/// Counts all uses of quotas whose count is due.
pub(crate) fn count_due(globals: &Globals, stop: &Stop) {
    while !stop.is_tripped()
        && let Some(scope) = globals.quotas.begin_count(Instant::now())
    {
        let began = Instant::now();
        let counted = count(globals, &scope, stop);
        let sum = counted.unwrap_or_else(|error| {
            let error = anyhow::Error::from(error);
            warn!("the files of {scope} are not counted for its quota now: {error:#}");
            None
        });
        let quotas = &globals.quotas;
        quotas.counted(&scope, sum, began.elapsed(), Instant::now());
    }
}

/// `None` if the stop has tripped.
fn count(globals: &Globals, scope: &Scope, stop: &Stop) -> Result<Option<Sum>, DbError> {
    let mut sum = Sum::default();
    match scope {
        Scope::User(app, user) => {
            let wanted = ListRequest {
                app: app.clone(),
                user: user.clone(),
                prefix: None,
                since: i64::MIN,
                after: String::new(),
            };
            let selection = Selection {
                wanted: &wanted,
                group: &globals.config.group,
                now: epoch_secs(),
            };
            let mut after = String::new();
            loop {
                let part = globals.files.list(selection, &after, ROWS)?;
                part.files
                    .iter()
                    .for_each(|file| sum.add(Sum::of_file(file.size)));
                after = part.next;
                if after.is_empty() {
                    return Ok(Some(sum));
                }
                if stop.is_tripped() {
                    return Ok(None);
                }
            }
        }
        Scope::App(app) => {
            for table in TABLES {
                let mut after = Some(String::new());
                while let Some(from) = after {
                    let of = (app, &globals.config.group);
                    let (part, next) = globals.files.sum_of_app(table, of, &from)?;
                    sum.add(part);
                    after = next;
                    if stop.is_tripped() {
                        return Ok(None);
                    }
                }
            }
            Ok(Some(sum))
        }
    }
}
