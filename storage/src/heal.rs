//! What GlusterFS has yet to heal on the volumes below the store paths, as its own command tells.
//!
//! A thread of its own asks, once in a while: the command may hang with its volume. Others see what
//! it said last.

use std::collections::BTreeMap;
use std::path::Path;

use base::Stop;
use daemon::metrics::Page;
use log::info;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::config::GlusterConfig;
use command::Asker;
use mounts::volume_at;
use summary::{Brick, parse};

mod command;
mod mounts;
mod summary;

/// The volumes by their names, with what was said last.
#[derive(Default)]
pub(crate) struct Heal(Mutex<Volumes>);

type Volumes = BTreeMap<String, Volume>;

/// One volume.
struct Volume {
    /// The store paths that lie on it.
    paths: Vec<String>,
    answer: Answer,
}

/// The bricks, or why nothing is known of them.
type Answer = Result<Vec<Brick>, String>;

/// Asks for the volumes of a storage.
pub(crate) struct Round {
    config: GlusterConfig,
    store_paths: Vec<String>,
    asker: Asker,
}

impl Round {
    pub(crate) fn new(config: &GlusterConfig, store_paths: Vec<String>) -> Round {
        Round {
            config: config.clone(),
            store_paths,
            asker: Asker::default(),
        }
    }

    /// Asks for each volume once, until the stop.
    pub(crate) fn go(&mut self, heal: &Heal, stop: &Stop) {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut volumes = Volumes::new();
        for path in &self.store_paths {
            // Rows spell it as it was configured; the kernel knows its real name.
            let real = Path::new(path).canonicalize();
            let Some(name) = real.ok().and_then(|real| volume_at(&mounts, &real)) else {
                continue;
            };
            let (asker, config) = (&mut self.asker, &self.config);
            let volume = volumes.entry(name.clone()).or_insert_with(|| Volume {
                paths: Vec::new(),
                answer: ask(asker, config, &name, path, stop),
            });
            volume.paths.push(path.clone());
        }
        if !stop.is_tripped() {
            heal.learn(volumes);
        }
    }
}

fn ask(asker: &mut Asker, config: &GlusterConfig, volume: &str, path: &str, stop: &Stop) -> Answer {
    if config.heal_command.is_empty() {
        return Err("heal_command is empty".to_owned());
    }
    let word = |word: &String| word.replace("{volume}", volume).replace("{path}", path);
    let words: Vec<String> = config.heal_command.iter().map(word).collect();
    let text = asker.ask(&words, config.heal_timeout.duration(), stop)?;
    let bricks = parse(&text);
    if bricks.is_empty() {
        let line = text.lines().find(|line| !line.trim().is_empty());
        return Err(format!("{}: {}", words[0], line.unwrap_or("no answer")));
    }
    Ok(bricks)
}

impl Heal {
    fn learn(&self, volumes: Volumes) {
        let mut known = self.0.lock();
        for (name, Volume { answer, .. }) in &volumes {
            if let Err(why) = answer
                && known.get(name).map(|before| &before.answer) != Some(answer)
            {
                info!("volume {name}: it is not known what has to be healed: {why}");
            }
        }
        *known = volumes;
    }

    /// What is wrong with the volume below a store path, in words; nothing where nothing is.
    pub(crate) fn note(&self, path: &str) -> String {
        let known = self.0.lock();
        let volume = known
            .values()
            .find(|volume| volume.paths.iter().any(|other| other == path));
        let bricks = volume.and_then(|volume| volume.answer.as_deref().ok());
        let bricks = bricks.unwrap_or_default();
        let most = |of: fn(&Brick) -> Option<u64>| bricks.iter().filter_map(of).max();
        let away = bricks.iter().filter(|brick| !brick.connected).count();
        let notes = [
            (most(|brick| brick.split_brain), "in split brain"),
            (most(|brick| brick.heal_pending), "to heal"),
            (Some(away as u64), "bricks away"),
        ];
        let notes = notes.into_iter().filter_map(|(count, what)| {
            let count = count.filter(|count| *count > 0)?;
            Some(format!("{what}: {count}"))
        });
        notes.collect::<Vec<_>>().join(", ")
    }

    /// Copies that are missing, and files that nobody can tell the truth about.
    pub(crate) fn warning(&self) -> Option<String> {
        let mut reasons = Vec::new();
        for (volume, Volume { answer, .. }) in &*self.0.lock() {
            let bricks = answer.as_deref().unwrap_or_default();
            for brick in bricks.iter().filter(|brick| !brick.connected) {
                reasons.push(format!("volume {volume}: {} is away", brick.brick));
            }
            let split = bricks.iter().filter_map(|brick| brick.split_brain).max();
            if let Some(split) = split.filter(|split| *split > 0) {
                reasons.push(format!("volume {volume}: {split} in split brain"));
            }
        }
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    pub(crate) fn measure(&self, page: &mut Page) {
        let known = self.0.lock();
        let help = "Whether it is known what a volume has to heal; else /status says why.";
        let mut family = page.gauge("tnv_gluster_heal_info_up", help);
        for (volume, Volume { answer, .. }) in &*known {
            let is_up = f64::from(u8::from(answer.is_ok()));
            family = family.sample(&[("volume", volume)], is_up);
        }
        let bricks = |of: &dyn Fn(&Brick) -> Option<u64>| -> Vec<(String, String, u64)> {
            let of_volume = |(volume, Volume { answer, .. }): (&String, &Volume)| {
                let bricks = answer.as_deref().unwrap_or_default();
                let value = |brick: &Brick| Some((volume.clone(), brick.brick.clone(), of(brick)?));
                bricks.iter().filter_map(value).collect::<Vec<_>>()
            };
            known.iter().flat_map(of_volume).collect()
        };
        let families = [
            (
                "tnv_gluster_brick_connected",
                "Whether a brick of a volume answers.",
                bricks(&|brick| Some(brick.connected.into())),
            ),
            (
                "tnv_gluster_heal_pending_entries",
                "Files and folders that a brick has whole and another one does not yet.",
                bricks(&|brick| brick.heal_pending),
            ),
            (
                "tnv_gluster_split_brain_entries",
                "Files and folders of which nobody knows the right copy.",
                bricks(&|brick| brick.split_brain),
            ),
        ];
        for (name, help, samples) in families {
            let mut family = page.gauge(name, help);
            for (volume, brick, value) in &samples {
                let labels = [("volume", volume.as_str()), ("brick", brick.as_str())];
                family = family.sample(&labels, *value as f64);
            }
        }
    }

    /// For `/status`.
    pub(crate) fn describe(&self) -> Value {
        let known = self.0.lock();
        let volumes = known.iter().map(|(volume, known)| match &known.answer {
            Ok(bricks) => json!({ "volume": volume, "bricks": bricks }),
            Err(why) => json!({ "volume": volume, "unknown": why }),
        });
        volumes.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::summary::tests::SUMMARY;
    use super::*;

    #[test]
    fn what_is_not_known_is_said_and_not_counted() {
        let heal = Heal::default();
        let volume = |path: &str, answer| Volume {
            paths: vec![path.to_owned()],
            answer,
        };
        let no = Err("gluster: no".to_owned());
        let volumes = [
            ("a".to_owned(), volume("/a", Ok(parse(SUMMARY)))),
            ("b".to_owned(), volume("/b", no)),
        ];
        heal.learn(volumes.into());
        let note = "in split brain: 2, to heal: 10, bricks away: 1";
        assert_eq!(
            ["/a", "/b", "/c"].map(|path| heal.note(path)),
            [note, "", ""]
        );
        let told = heal.describe();
        assert_eq!(told[1], json!({ "volume": "b", "unknown": "gluster: no" }));
        assert_eq!(told[0]["bricks"][1]["heal_pending"], 10);
        assert_eq!(told[0]["bricks"][0]["heal_pending"], Value::Null);
        let warning = "volume a: node1:/bricks/a is away; volume a: 2 in split brain";
        assert_eq!(heal.warning().as_deref(), Some(warning));
        heal.learn(Volumes::new());
        assert_eq!(heal.warning(), None);
    }
}
