use daemon::Settings as _;

use super::*;

#[test]
fn what_cannot_be_used_is_refused_by_its_key() {
    let refused = |text: &str| {
        let config = Config::parse(text).unwrap();
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
    assert!(Config::parse("setp = 1").is_err());
}

#[test]
fn the_check_of_settings_tells_what_is_open_to_whom() {
    let summary = |text: &str| Config::parse(text).unwrap().access_summary();
    assert_eq!(
        summary(""),
        ["serves every program on this machine, and no other",]
    );
    assert_eq!(
        summary("allow_hosts = [\"10.0.0.0/8\"]\n"),
        ["serves every program on 10.0.0.0/8",]
    );
}
