//! Checks of the configuration.

use storage::{Config, Settings};

#[test]
fn store_paths_may_end_in_a_slash_and_are_told_apart_without_it() {
    let check = |paths: &[&str]| {
        let config = Config::of(Settings {
            store_paths: paths.iter().map(|&path| path.to_owned()).collect(),
            ..Settings::default()
        });
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

#[test]
fn heal_settings_of_earlier_versions_are_accepted_and_not_written() {
    let text = "[gluster]\nheal_command = [\"gluster\", \"volume\"]\n\
        heal_interval = \"1m\"\nheal_timeout = \"30s\"\n";
    let config = Config::parse(text).unwrap();
    config.check().unwrap();
    assert_ne!(config, Config::default());
    let written = Config::default().effective().unwrap();
    assert!(!written.contains("gluster"), "{written}");
    assert!(Config::parse("[gluster]\nheal_comand = []\n").is_err());
}
