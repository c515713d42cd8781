//! SIGHUP reads the configuration again: applies reloadable settings, warns of the others. An unusable
//! configuration changes nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use base::config::ConfigError;
use log::{error, info, warn};
use toml::{Table, Value};

use crate::config::{self, Config, Settings};
use crate::logging::Log;
use crate::process::background;

/// The settings in force.
pub(crate) struct Reloader<S> {
    path: Option<PathBuf>,
    in_force: Config<S>,
    log: Log,
    is_background: bool,
}

impl<S: Settings> Reloader<S> {
    /// `config` is in force, and comes from the file at `path`.
    pub(crate) fn new(path: Option<PathBuf>, config: &Config<S>, log: Log) -> Reloader<S> {
        Reloader {
            path,
            in_force: config.clone(),
            log,
            is_background: background::is_background(),
        }
    }

    pub(crate) fn log(&self) -> Log {
        self.log.clone()
    }

    pub(crate) fn stop_timeout(&self) -> Duration {
        self.in_force.server.stop_timeout.duration()
    }

    /// Reads the configuration again and passes it to `apply`. Logs the result.
    pub(crate) fn reload(&mut self, apply: &mut dyn FnMut(&Config<S>) -> anyhow::Result<()>) {
        if let Err(error) = self.try_reload(apply) {
            error!("the configuration stays as it was: {error:#}");
        }
    }

    fn try_reload(
        &mut self,
        apply: &mut dyn FnMut(&Config<S>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let new = Config::<S>::load(self.path.as_deref())?;
        new.log.check(self.is_background)?;
        let next = self.in_force.reloaded(&new);
        let applied = changed_keys(&self.in_force, &next)?;
        let need_restart = changed_keys(&next, &new)?;
        let mut log = None;
        if !applied.is_empty() {
            // May fail, so before anything changes.
            log = Some(self.log.prepare(&next.log)?);
            apply(&next)?;
        }
        self.in_force = next;
        for key in &need_restart {
            warn!("{key} needs a restart to change");
        }
        info!("configuration reloaded, {}", describe(&applied));
        // The old log has the line above.
        if let Some(log) = log {
            self.log.change_to(log);
        }
        Ok(())
    }
}

fn describe(keys: &[String]) -> String {
    if keys.is_empty() {
        "nothing has changed".to_owned()
    } else {
        format!("changed: {}", keys.join(", "))
    }
}

/// The keys, with sections, whose values differ.
fn changed_keys<S: Settings>(old: &Config<S>, new: &Config<S>) -> Result<Vec<String>, ConfigError> {
    let (old, new) = (flat(old)?, flat(new)?);
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let keys = keys.into_iter();
    Ok(keys
        .filter(|key| old.get(*key) != new.get(*key))
        .cloned()
        .collect())
}

/// All settings in one table, by key with section.
fn flat<S: Settings>(config: &Config<S>) -> Result<Table, ConfigError> {
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
