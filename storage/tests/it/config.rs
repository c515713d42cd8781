//! The sample configuration tells the truth.

use daemon::DaemonConfig;
use storage::Config;

/// The sample with its settings in force: the mark in front of them has no blank behind it.
fn settings() -> String {
    let sample = include_str!("../../../etc/storage.toml");
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
        hostname,
        log,
        process,
        mut mysql,
        ..
    } = shown.clone();
    let [password_file, tls_ca] = [mysql.password_file.take(), mysql.tls_ca.take()];
    assert!(password_file.is_some() && tls_ca.is_some());
    assert_eq!(mysql, Config::default().mysql);
    assert_eq!(process.umask, Config::default().process.umask);
    (mysql.password_file, mysql.tls_ca) = (password_file, tls_ca);
    assert_eq!(
        shown,
        Config {
            hostname,
            log,
            process,
            mysql,
            ..Config::default()
        }
    );
    let shown: toml::Table = toml::from_str(&settings()).unwrap();
    let all: toml::Table = toml::from_str(&toml::to_string(&Config::default()).unwrap()).unwrap();
    for key in all.keys() {
        assert!(shown.contains_key(key), "{key} is not in the sample");
    }
}

#[test]
fn store_paths_may_end_in_a_slash_and_are_told_apart_without_it() {
    let check = |paths: &[&str]| {
        let config = Config {
            store_paths: paths.iter().map(|&path| path.to_owned()).collect(),
            ..Config::default()
        };
        config.check().map_err(|e| e.to_string())
    };
    check(&["../data/"]).unwrap();
    check(&["../data/", "../data2"]).unwrap();
    for (paths, why) in [
        (vec!["../data", "../data/"], "stands there twice"),
        (vec!["/"], "no folder for files"),
        (vec![""], "cannot be a key"),
    ] {
        let refused = check(&paths).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
}
