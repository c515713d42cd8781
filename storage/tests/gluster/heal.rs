//! What a storage tells of a volume that has something to heal.

use super::group::{Group, content, shared};
use test_support::until;

/// The values of a metric, in the order of the bricks' names.
fn values(page: &str, metric: &str) -> Vec<u64> {
    let samples = page.lines().filter(|line| line.starts_with(metric));
    let value = |line: &str| line.rsplit_once(' ').unwrap().1.parse().unwrap();
    samples.map(value).collect()
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out GlusterFS"
)]
fn what_is_to_be_healed_is_counted_until_it_is_healed() {
    let shared = shared();
    let volume = shared.gluster().volume("counted").unwrap();
    let command = volume.heal_info().unwrap();
    let more = format!("[gluster]\nheal_interval = \"200ms\"\nheal_command = {command:?}\n");
    let group = Group::on(shared, volume, "counted", &more);
    let [node, _] = &group.nodes;
    let (pending, split, connected, up) = (
        "tnv_gluster_heal_pending_entries{",
        "tnv_gluster_split_brain_entries{",
        "tnv_gluster_brick_connected{",
        "tnv_gluster_heal_info_up{volume=\"counted\"} 1",
    );
    let metrics = || node.page("/metrics");
    until("all is known to be well", || {
        let page = metrics();
        values(&page, pending) == [0, 0, 0]
            && values(&page, split) == [0, 0, 0]
            && values(&page, connected) == [1, 1, 1]
    });
    assert!(metrics().contains(up));
    let offered = [
        include_str!("../../../etc/monitoring/alerts.yml"),
        include_str!("../../../etc/monitoring/grafana-dashboard.json"),
    ];
    let words = offered.concat();
    let words = words.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for name in words.filter(|word| word.starts_with("tnv_gluster_")) {
        assert!(
            metrics().contains(&format!("# TYPE {name} gauge")),
            "{name}"
        );
    }
    group.volume.kill_brick(0).unwrap();
    node.client().upload("f", &content(1, 70_000)).unwrap();
    until(
        "something is to be healed, on the bricks that are left",
        || {
            let page = metrics();
            let counts = values(&page, pending);
            values(&page, connected) == [0, 1, 1]
                && counts.len() == 2
                && counts.iter().all(|&n| n > 0)
        },
    );
    assert!(node.page("/healthz").contains("volume counted: 192.0.2.1:"));
    assert!(
        node.page("/status").contains("to heal: ")
            && node.page("/status").contains("bricks away: 1")
    );
    group.volume.start_bricks().unwrap();
    group.volume.heal().unwrap();
    until("it is healed", || values(&metrics(), pending) == [0, 0, 0]);
    assert!(node.page("/healthz").ends_with("ok\n"));
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out GlusterFS"
)]
fn why_nothing_is_known_is_said() {
    let command = r#"["sh", "-c", "echo {volume} is not for you; exit 1"]"#;
    let more = format!("[gluster]\nheal_interval = \"200ms\"\nheal_command = {command}\n");
    let group = Group::start("unknown", &more);
    let [node, _] = &group.nodes;
    until("it says why", || {
        node.page("/status").contains("sh: unknown is not for you")
    });
    let page = node.page("/metrics");
    assert!(page.contains("tnv_gluster_heal_info_up{volume=\"unknown\"} 0"));
    assert!(!page.contains("tnv_gluster_heal_pending_entries"));
}
