//! Metrics of groups and storages.

use daemon::status::{StatusConfig, StatusPort};
use proto::report::Drain;
use test_support::http::page;

use super::*;

#[test]
fn monitoring_sees_groups_without_storages_and_storages_without_clients() {
    let setting = Setting::new();
    let mut storage = setting.active("g1", "10.0.0.1", 1);
    let report = Report {
        drain: Drain::All,
        ..Report::default()
    };
    let report = TrackerRequest::Report(member("g1", "h"), Box::new(report));
    storage.call(report).unwrap();
    let globals = &setting.service.globals;
    let config = StatusConfig::at(([127, 0, 0, 1], 0).into());
    let shown = StatusView(Arc::clone(globals));
    let port = StatusPort::start(
        "tracker",
        config.bind().unwrap(),
        &globals.metrics.frame,
        shown,
    )
    .unwrap();
    let text = page(port.addr().unwrap(), "/metrics").text().to_owned();
    port.shutdown();
    let sample = |line: &str| {
        assert!(text.lines().any(|other| other == line), "{line}: {text}");
    };
    sample(r#"tnv_tracker_members{group="g1",state="active"} 1"#);
    sample(r#"tnv_tracker_offered_members{group="g1"} 0"#);
    sample(r#"tnv_tracker_drained_members{group="g1"} 1"#);
    sample(r#"tnv_tracker_unreachable_members{group="g1"} 0"#);
    sample(r#"tnv_tracker_members{group="g2",state="active"} 0"#);
    sample(r#"tnv_tracker_offered_members{group="g2"} 0"#);
    sample("tnv_tracker_refused_storages 0");
    let message = setting.saddrs("alice").unwrap_err().message;
    assert!(message.contains("takes uploads"), "{message}");
    let routes = &setting.service.globals.routes;
    let [app, user] = ["tnvideo", "bob"];
    let g1 = "g1".parse().unwrap();
    routes
        .bind(&app.parse().unwrap(), &user.parse().unwrap(), &g1)
        .unwrap();
    let message = setting.saddrs("bob").unwrap_err().message;
    assert!(message.ends_with(": 10.0.0.1:1 is drained"), "{message}");
}
