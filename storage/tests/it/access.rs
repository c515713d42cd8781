//! Storages that refuse: drained ones, and clients outside of `allow_hosts`.

use daemon::status::StatusConfig;
use proto::ErrorCode;
use storage::Storage;

use super::support::Node;

#[test]
fn a_storage_that_is_drained_refuses_uploads_and_serves_what_it_has() {
    let mut node = Node::start_with(|config| {
        config.status = StatusConfig::at(([127, 0, 0, 1], 0).into());
    });
    node.client().upload("film", b"content").unwrap();
    node.storage.take().unwrap().shutdown();
    let state = r#"{"node": "a1", "drain": "uploads"}"#;
    std::fs::write(&node.config.state_file, state).unwrap();
    node.storage = Some(Storage::start(node.config.clone()).unwrap());
    let refused = node.client().upload("another", b"content").unwrap_err();
    assert_eq!(refused.code, ErrorCode::ReadOnly, "{refused}");
    assert_eq!(node.client().download("film", 0, 0).unwrap(), b"content");
    let answer = node.ask_status("/healthz");
    let health = answer.text();
    assert_eq!(answer.status, 200, "{health}");
    assert!(health.contains("ok\ndrained of: uploads"), "{health}");
}

#[test]
fn who_is_not_in_allow_hosts_is_refused_until_a_reload_lets_it_in() {
    let mut node = Node::start_with(|config| {
        config.access.allow_hosts = Some(vec!["10.0.0.0/8".parse().unwrap()]);
    });
    let refused = node.client().upload("film", b"content").unwrap_err();
    assert_eq!(refused.code, ErrorCode::Forbidden);
    let mut config = node.config.clone();
    config.access.allow_hosts = Some(vec!["127.0.0.1".parse().unwrap()]);
    node.storage.as_mut().unwrap().reload(&config).unwrap();
    node.client().upload("film", b"content").unwrap();
}
