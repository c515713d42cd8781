//! SIGHUP reads the configuration again: applies reloadable settings, warns of the others. An unusable
//! configuration changes nothing.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use base::config::ConfigError;
use log::{error, info, warn};
use net::ServerConfig;
use toml::{Table, Value};

use super::{DaemonConfig, check_log};
use crate::config;
use crate::logging::Log;
use crate::process::background;

/// The section of the log, which is reloadable as a whole.
const LOG: &str = "log";

/// The settings in force.
pub(super) struct Reloader<C> {
    path: Option<PathBuf>,
    /// By key with section.
    in_force: Table,
    stop_timeout: Duration,
    log: Log,
    is_background: bool,
    of: PhantomData<fn() -> C>,
}

/// The keys whose values differ between two configurations.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    applied: Vec<String>,
    /// Keys that need a restart.
    need_restart: Vec<String>,
}

impl<C: DaemonConfig> Reloader<C> {
    /// `config` is in force, and comes from the file at `path`.
    pub(super) fn new(path: Option<PathBuf>, config: &C, log: Log) -> anyhow::Result<Reloader<C>> {
        Ok(Reloader {
            path,
            in_force: flat(config)?,
            stop_timeout: config.server().stop_timeout.duration(),
            log,
            is_background: background::is_background(),
            of: PhantomData,
        })
    }

    pub(super) fn log(&self) -> Log {
        self.log.clone()
    }

    pub(super) fn stop_timeout(&self) -> Duration {
        self.stop_timeout
    }

    /// Reads the configuration again and passes it to `apply`. Logs the result.
    pub(super) fn reload(&mut self, apply: &mut dyn FnMut(&C) -> anyhow::Result<()>) {
        if let Err(error) = self.try_reload(apply) {
            error!("the configuration stays as it was: {error:#}");
        }
    }

    fn try_reload(
        &mut self,
        apply: &mut dyn FnMut(&C) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let new: C = config::load(self.path.as_deref())?;
        new.check()?;
        new.process().check()?;
        check_log(new.log(), self.is_background)?;
        let wanted = flat(&new)?;
        let changes = changes::<C>(&self.in_force, &wanted);
        let mut log = None;
        if !changes.applied.is_empty() {
            // May fail, so before anything changes.
            log = Some(self.log.prepare(new.log())?);
            apply(&new)?;
            self.stop_timeout = new.server().stop_timeout.duration();
        }
        for key in &changes.need_restart {
            warn!("{key} needs a restart to change");
        }
        for key in &changes.applied {
            match wanted.get(key) {
                Some(value) => drop(self.in_force.insert(key.clone(), value.clone())),
                None => drop(self.in_force.remove(key)),
            }
        }
        info!("configuration reloaded, {}", changed(&changes.applied));
        // The old log has the line above.
        if let Some(log) = log {
            self.log.change_to(log);
        }
        Ok(())
    }
}

fn changed(keys: &[String]) -> String {
    if keys.is_empty() {
        "nothing has changed".to_owned()
    } else {
        format!("changed: {}", keys.join(", "))
    }
}

fn changes<C: DaemonConfig>(old: &Table, new: &Table) -> Changes {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut changes = Changes::default();
    for key in keys
        .into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
    {
        let list = if is_reloaded::<C>(key) {
            &mut changes.applied
        } else {
            &mut changes.need_restart
        };
        list.push(key.clone());
    }
    changes
}

fn is_reloaded<C: DaemonConfig>(key: &str) -> bool {
    let of_server = key.strip_prefix("server.");
    of_server.is_some_and(|key| ServerConfig::RELOADED.contains(&key))
        || is_below(key, LOG)
        || C::RELOADED.iter().any(|name| is_below(key, name))
}

/// True if the key is `name`, or in the section of that name.
fn is_below(key: &str, name: &str) -> bool {
    let rest = key.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// All settings in one table, by key with section.
fn flat<C: DaemonConfig>(config: &C) -> Result<Table, ConfigError> {
    let mut settings = Table::new();
    let table = Table::try_from(config).map_err(config::not_printed)?;
    flatten("", table, &mut settings);
    Ok(settings)
}

fn flatten(prefix: &str, table: Table, settings: &mut Table) {
    for (key, value) in table {
        match value {
            Value::Table(section) => flatten(&format!("{prefix}{key}."), section, settings),
            value => drop(settings.insert(format!("{prefix}{key}"), value)),
        }
    }
}

#[cfg(test)]
mod tests;
