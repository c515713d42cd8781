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
