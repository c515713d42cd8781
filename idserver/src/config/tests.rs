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
