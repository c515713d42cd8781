//! The settings as the frame of all daemons uses them, and the jobs that the program runs instead of serving.

use anyhow::Context;
use base::config::ConfigError;
use daemon::job::{INIT_DATABASE, Job, JobFlag, job_done};
use net::access_control::AccessSettings;
use net::admin::OrderVerifier;
use proto::ServerKind;

use crate::config::{Config, Settings, folder_of};
use crate::disks::store_path;
use crate::files::orphans;
use crate::state::identity::{self, Identity};

impl daemon::Settings for Settings {
    const PORT: u16 = 23000;
    const STATUS_PORT: u16 = 23001;

    fn access(&mut self) -> Option<&mut AccessSettings> {
        Some(&mut self.access)
    }

    fn reloaded(&self, new: &Settings) -> Settings {
        Settings {
            admin_key_file: new.admin_key_file.clone(),
            access: new.access.clone(),
            trackers: new.trackers.clone(),
            idservers: new.idservers.clone(),
            reserved_space: new.reserved_space,
            quotas: new.quotas.clone(),
            beat_interval: new.beat_interval,
            cache: new.cache.clone(),
            ..self.clone()
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.check_settings()
    }

    fn access_summary(&self) -> Vec<String> {
        let mut lines = self.access.summary(ServerKind::Storage);
        lines.push(OrderVerifier::summary(self.admin_key_file.as_deref()));
        lines
    }

    fn jobs() -> Vec<Job<Config>> {
        let help = "Mark the mounted store paths as those of this group, for require_marker";
        let init_store = Job {
            flag: JobFlag {
                name: "init-store",
                help,
            },
            work: |config, out| job_done(init_store(config)?, out),
        };
        let init_database = Job {
            flag: INIT_DATABASE,
            work: |config, out| job_done(crate::db::init(config)?, out),
        };
        let help = "List files without a row and rows without a file, one on each line, and change \
                    nothing; exit code 4 if there are any";
        let list_orphans = Job {
            flag: JobFlag {
                name: "list-orphans",
                help,
            },
            work: orphans::list,
        };
        vec![init_store, init_database, list_orphans]
    }
}

/// Marks each store path, and makes the state file expect the folders that are there. Returns one
/// line for each change.
fn init_store(config: &Config) -> anyhow::Result<Vec<String>> {
    let known = identity::known_folders(&config.state_file)?;
    let mut folders = known.clone();
    let mut done = Vec::new();
    for path in &config.store_paths {
        let init = store_path::init(path, &config.group);
        let (is_new, tag) = init.with_context(|| path.clone())?;
        let what = if is_new {
            "marked"
        } else {
            "was marked before"
        };
        done.push(format!(
            "{path}: {what} as a store path of {}",
            config.group
        ));
        // The storage itself remembers the folder of a store path that was never used.
        if let Some(known) = folders.get_mut(folder_of(path))
            && known != tag.as_text()
        {
            tag.as_text().clone_into(known);
            done.push(format!("{path}: this folder replaces the one before"));
        }
    }
    if folders != known {
        let remembered = Identity::open(&config.state_file)?.remember_folders(folders);
        let state_file = &config.state_file;
        remembered.with_context(|| format!("state_file {}", state_file.display()))?;
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use daemon::Settings as _;

    use super::*;

    #[test]
    fn the_check_of_settings_tells_what_is_open_to_whom() {
        let summary = |text: &str| Config::parse(text).unwrap().access_summary();
        assert_eq!(
            summary(""),
            [
                "serves every program on this machine, and no other",
                "takes no orders: no admin_key_file is set",
            ]
        );
        let text =
            "cluster_key_file = \"/k\"\nlegacy_hosts = [\"10.0.0.9\"]\nadmin_key_file = \"/a\"";
        assert_eq!(
            summary(text),
            [
                "serves every program that proves a key, on every host",
                "serves every program without a key on 10.0.0.9 (legacy_hosts)",
                "takes orders that are signed with the key in /a",
            ]
        );
    }
}
