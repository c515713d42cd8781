//! The sample configuration tells the truth.

use httpd::Config;

/// The sample with its settings in force: the mark in front of them has no blank behind it.
fn settings() -> String {
    let sample = include_str!("../../../etc/httpd.toml");
    let bare = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
        _ => format!("{line}\n"),
    };
    sample.lines().map(bare).collect()
}

#[test]
fn the_sample_shows_every_key_with_its_default() {
    let mut shown: Config = toml::from_str(&settings()).unwrap();
    let per_address = shown.server.connections_per_address.take();
    assert!(per_address.is_some());
    let Config {
        user, log, process, ..
    } = shown.clone();
    assert_eq!(process.umask, Config::default().process.umask);
    assert_eq!(
        shown,
        Config {
            user,
            log,
            process,
            ..Config::default()
        }
    );
    let shown: toml::Table = toml::from_str(&settings()).unwrap();
    let all: toml::Table = toml::from_str(&toml::to_string(&Config::default()).unwrap()).unwrap();
    for key in all.keys() {
        assert!(shown.contains_key(key), "{key} is not in the sample");
    }
}
