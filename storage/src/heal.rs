//! What GlusterFS has yet to heal on the volumes below the store paths, as its own command tells.
//!
//! A thread of its own asks, once in a while: the command may hang with its volume. Others see what
//! it said last.

use std::collections::BTreeMap;
use std::path::Path;

use daemon::Stop;
use daemon::metrics::Page;
use daemon::status::Health;
use log::info;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};

use crate::config::GlusterConfig;
use command::Asker;
use mounts::volume_at;

mod command;
mod mounts;

/// What was said of each volume, by its name.
#[derive(Default)]
pub(crate) struct Heal(Mutex<BTreeMap<String, Answer>>);

/// The bricks, or why nothing is known of them.
type Answer = Result<Vec<Brick>, String>;

/// One brick of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Brick {
    /// Host and folder.
    brick: String,
    connected: bool,
    /// Entries that it holds whole and another brick does not yet. Absent when it is not connected.
    heal_pending: Option<u64>,
    /// Entries of which nobody knows the right copy.
    split_brain: Option<u64>,
}

/// Asks for the volumes of a storage.
pub(crate) struct Round {
    config: GlusterConfig,
    store_paths: Vec<String>,
    asker: Asker,
}

impl Round {
    pub(crate) fn new(config: &GlusterConfig, store_paths: &[String]) -> Round {
        Round {
            config: config.clone(),
            store_paths: store_paths.to_vec(),
            asker: Asker::default(),
        }
    }

    /// Asks for each volume once, until the stop.
    pub(crate) fn go(&mut self, heal: &Heal, stop: &Stop) {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut answers = BTreeMap::new();
        for path in &self.store_paths {
            // Rows spell it as it was configured; the kernel knows its real name.
            let real = Path::new(path).canonicalize();
            let volume = real.ok().and_then(|real| volume_at(&mounts, &real));
            if let Some(volume) = volume
                && !answers.contains_key(&volume)
            {
                let answer = ask(&mut self.asker, &self.config, &volume, path, stop);
                answers.insert(volume, answer);
            }
        }
        if !stop.is_tripped() {
            heal.learn(answers);
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

/// Reads what `gluster volume heal VOLUME info summary` prints. A brick that is not connected has
/// dashes for numbers.
fn parse(text: &str) -> Vec<Brick> {
    let mut bricks: Vec<Brick> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("Brick ") {
            bricks.push(Brick {
                brick: name.trim().to_owned(),
                connected: false,
                heal_pending: None,
                split_brain: None,
            });
        } else if let Some((key, value)) = line.split_once(':')
            && let Some(brick) = bricks.last_mut()
        {
            let value = value.trim();
            match key {
                "Status" => brick.connected = value == "Connected",
                "Number of entries in heal pending" => brick.heal_pending = value.parse().ok(),
                "Number of entries in split-brain" => brick.split_brain = value.parse().ok(),
                _ => {}
            }
        }
    }
    bricks
}

impl Heal {
    fn learn(&self, answers: BTreeMap<String, Answer>) {
        let mut known = self.0.lock();
        for (volume, answer) in &answers {
            if let Err(why) = answer
                && known.get(volume) != Some(answer)
            {
                info!("volume {volume}: it is not known what has to be healed: {why}");
            }
        }
        *known = answers;
    }

    /// Copies that are missing, and files that nobody can tell the truth about.
    pub(crate) fn health(&self, health: &mut Health) {
        for (volume, answer) in &*self.0.lock() {
            let bricks = answer.as_deref().unwrap_or_default();
            for brick in bricks.iter().filter(|brick| !brick.connected) {
                health.degrade(format!("volume {volume}: {} is away", brick.brick));
            }
            let split = bricks.iter().filter_map(|brick| brick.split_brain).max();
            if let Some(split) = split.filter(|split| *split > 0) {
                health.degrade(format!("volume {volume}: {split} in split brain"));
            }
        }
    }

    pub(crate) fn measure(&self, page: &mut Page) {
        let known = self.0.lock();
        let help = "Whether it is known what a volume has to heal; else /status says why.";
        let mut family = page.gauge("tnv_gluster_heal_info_up", help);
        for (volume, answer) in &*known {
            let is_up = f64::from(u8::from(answer.is_ok()));
            family = family.sample(&[("volume", volume)], is_up);
        }
        let bricks = |of: &dyn Fn(&Brick) -> Option<u64>| -> Vec<(String, String, u64)> {
            let of_volume = |(volume, answer): (&String, &Answer)| {
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
        let volumes = known.iter().map(|(volume, answer)| match answer {
            Ok(bricks) => json!({ "volume": volume, "bricks": bricks }),
            Err(why) => json!({ "volume": volume, "unknown": why }),
        });
        volumes.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "Brick node1:/bricks/a\nStatus: Transport endpoint is not connected\n\
        Total Number of entries: -\nNumber of entries in heal pending: -\n\
        Number of entries in split-brain: -\nNumber of entries possibly healing: -\n\n\
        Brick node2:/bricks/a\nStatus: Connected\nTotal Number of entries: 12\n\
        Number of entries in heal pending: 10\nNumber of entries in split-brain: 2\n\
        Number of entries possibly healing: 0\n";

    #[test]
    fn a_summary_tells_of_each_brick() {
        let brick = |brick: &str, counts: Option<(u64, u64)>| Brick {
            brick: brick.to_owned(),
            connected: counts.is_some(),
            heal_pending: counts.map(|(pending, _)| pending),
            split_brain: counts.map(|(_, split)| split),
        };
        let bricks = [
            brick("node1:/bricks/a", None),
            brick("node2:/bricks/a", Some((10, 2))),
        ];
        assert_eq!(parse(SUMMARY), bricks);
        assert_eq!(
            parse("Connection failed.\nNumber of entries in heal pending: 1\n"),
            []
        );
    }

    #[test]
    fn what_is_not_known_is_said_and_not_counted() {
        let heal = Heal::default();
        let answers = [
            ("a".to_owned(), Ok(parse(SUMMARY))),
            ("b".to_owned(), Err("gluster: no".to_owned())),
        ];
        heal.learn(answers.into());
        let told = heal.describe();
        assert_eq!(told[1], json!({ "volume": "b", "unknown": "gluster: no" }));
        assert_eq!(told[0]["bricks"][1]["heal_pending"], 10);
        assert_eq!(told[0]["bricks"][0]["heal_pending"], Value::Null);
        let mut health = Health::default();
        heal.health(&mut health);
        let reasons: Vec<&str> = health.reasons().collect();
        let away = "volume a: node1:/bricks/a is away";
        assert_eq!(reasons, [away, "volume a: 2 in split brain"]);
    }
}
