use toml::Table;

use super::*;

const SAMPLE: &str = include_str!("../../../etc/idserver.toml");

/// The sample with its settings in force: the mark in front of them has no blank behind it.
fn uncommented() -> String {
    let lines = SAMPLE.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') => setting,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The settings that have no default of their own, and those of the sample without them.
fn with_defaults(sample: &Config) -> Config {
    let mut config = sample.clone();
    config.hostname = Config::default().hostname;
    config.server.connections_per_address = None;
    config.log.file = None;
    config.log.access_file = None;
    config.process = ProcessConfig {
        umask: config.process.umask,
        ..ProcessConfig::default()
    };
    config.mysql.password_file = None;
    config.mysql.tls_ca = None;
    config
}

#[test]
fn the_sample_shows_the_defaults() {
    let sample: Config = toml::from_str(&uncommented()).unwrap();
    assert_eq!(with_defaults(&sample), Config::default());
    let untouched: Config = toml::from_str(SAMPLE).unwrap();
    assert_eq!(untouched, Config::default());
}

#[test]
fn the_sample_shows_every_setting() {
    let mut full = Config::default();
    full.server.connections_per_address = Some(1);
    full.log.file = Some("x".into());
    full.log.access_file = Some("x".into());
    full.process = ProcessConfig {
        user: Some("x".into()),
        group: Some("x".into()),
        pid_file: Some("x".into()),
        working_directory: Some("x".into()),
        umask: daemon::Umask::default(),
        open_files: Some(1),
    };
    full.mysql.password_file = Some("x".into());
    full.mysql.tls_ca = Some("x".into());
    let full: Table = toml::from_str(&daemon::config::effective(&full).unwrap()).unwrap();
    let sample: Table = toml::from_str(&uncommented()).unwrap();
    let keys = |table: &Table| table.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&sample), keys(&full));
    for section in ["mysql", "server", "process", "log"] {
        let keys_of = |table: &Table| keys(table[section].as_table().unwrap());
        assert_eq!(keys_of(&sample), keys_of(&full), "{section}");
    }
}

#[test]
fn what_cannot_be_used_is_refused_by_its_key() {
    let refused = |text: &str| {
        let config: Config = toml::from_str(text).unwrap();
        config.check().unwrap_err().to_string()
    };
    Config::default().check().unwrap();
    for (text, key) in [
        ("step = 0", "step"),
        ("step = 1000001", "step"),
        ("step_max = 0", "step_max"),
        ("keys_max = 0", "keys_max"),
        ("allow_hosts = []", "allow_hosts"),
        ("rows_max = 0", "rows_max"),
        ("new_keys_per_address = 0", "new_keys_per_address"),
        ("[server]\nworkers = 0", "server.workers"),
    ] {
        let message = refused(text);
        assert!(message.contains(&format!("setting {key}:")), "{message}");
    }
    assert!(toml::from_str::<Config>("setp = 1").is_err());
}
