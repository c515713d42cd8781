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
        ("members_max = 0", "members_max"),
        ("check_interval = \"0s\"", "check_interval"),
        ("app_ids = []", "app_ids"),
        ("[cache]\nentries = 0", "cache.entries"),
        ("[server]\nworkers = 0", "server.workers"),
    ] {
        let message = refused(text);
        assert!(message.contains(&format!("setting {key}:")), "{message}");
    }
    assert!(Config::parse("group = 1").is_err());
}

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
    assert_eq!(
        summary("allow_hosts = [\"10.0.0.0/8\"]\nadmin_key_file = \"/a\"\n"),
        [
            "serves every program: storages on 10.0.0.0/8 only, clients on every host",
            "takes orders that are signed with the key in /a",
        ]
    );
}
