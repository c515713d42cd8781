//! Storages whose clocks are wrong.

use super::*;

#[test]
fn a_clock_that_differs_is_told() {
    let setting = Setting::new();
    let globals = &setting.service.globals;
    let mut storage = setting.active("g1", "10.0.0.1", 1);
    let mut notes = |ahead: i64| {
        let time = match ahead {
            0 => 0,
            ahead => globals.now().epoch + ahead,
        };
        let report = Report {
            time,
            ..Report::default()
        };
        let report = TrackerRequest::Report(member("g1", "h"), Box::new(report));
        storage.call(report).unwrap();
        let cluster = Cluster::decode(&crate::cluster_reply::cluster(globals)).unwrap();
        cluster.groups[0].storages[0].notes.join(" ")
    };
    assert!(notes(8 * 3600).contains("s ahead of this tracker's"));
    assert!(notes(-3600).contains("s behind this tracker's"));
    assert_eq!(notes(1), "");
    assert_eq!(notes(0), "", "an earlier version does not tell its time");
}
