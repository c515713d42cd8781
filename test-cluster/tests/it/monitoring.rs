//! The files of `etc/monitoring`: Prometheus accepts them, and they name existing metrics.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use test_cluster::{Node, Role};

use crate::support::{Fixture, wait_for};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn monitoring(name: &str) -> PathBuf {
    Path::new(SOURCES).join("etc/monitoring").join(name)
}

/// promtool of the Debian package prometheus, installed by the system or by `test-cluster/engines.sh`.
fn promtool() -> Command {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let ours = target.join("tools/promtool");
    Command::new(if ours.exists() {
        ours
    } else {
        PathBuf::from("promtool")
    })
}

fn assert_passes(what: &str, command: &mut Command, input: &[u8]) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect(
            "promtool is missing: run test-cluster/engines.sh, or set TNV_TEST_ENGINES=embedded",
        );
    // The program may close its input unread.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success(), "{what}: {text}");
}

fn nodes(fixture: &Fixture) -> Vec<Node> {
    let of = |role| fixture.nodes(role);
    Role::ALL.into_iter().flat_map(of).collect()
}

fn page(fixture: &Fixture, node: &Node) -> String {
    let page = fixture.get(&format!("http://{}/metrics", node.status), None);
    assert_eq!(page.status, 200);
    String::from_utf8(page.body).unwrap()
}

/// The names of all samples of a page.
fn sample_names(page: &str) -> impl Iterator<Item = &str> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.split(['{', ' ']).next().unwrap())
}

/// The names of metrics in a text; those of histograms with their suffix.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("tnv_") || word.starts_with("process_"))
        .collect()
}

/// All expressions of a dashboard.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array());
    let expr = |target: &Value| target["expr"].as_str().unwrap().to_owned();
    targets.flatten().map(expr).collect()
}

/// The expressions of the dashboard as rules for `promtool`, which reads JSON as YAML.
fn as_rules(dashboard: &Value) -> String {
    let rules = expressions(dashboard).into_iter().enumerate();
    let rules = rules.map(|(idx, expr)| {
        let expr = expr.replace("$__rate_interval", "1m");
        json!({ "record": format!("tnv:panel:{idx}"), "expr": expr })
    });
    let rules: Vec<Value> = rules.collect();
    assert!(!rules.is_empty());
    json!({ "groups": [{ "name": "dashboard", "rules": rules }] }).to_string()
}

#[test]
fn samples_name_only_metrics_of_the_daemons() {
    let fixture = Fixture::small(1);
    let nodes = nodes(&fixture);
    let alerts = fs::read_to_string(monitoring("alerts.yml")).unwrap();
    let dashboard = fs::read_to_string(monitoring("grafana-dashboard.json")).unwrap();
    let mut wanted = &named(&alerts) | &named(&dashboard);
    // From the collector of GlusterFS; tests of the storage compare them.
    wanted.retain(|name| !name.starts_with("tnv_gluster_"));
    assert!(wanted.contains("tnv_requests_total") && wanted.contains("process_open_fds"));
    wait_for("the daemons to tell all of them", || {
        let pages: Vec<String> = nodes.iter().map(|node| page(&fixture, node)).collect();
        let told = pages.iter().flat_map(|page| sample_names(page)).collect();
        let missing = &wanted - &told;
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("no daemon tells {missing:?}"))
        }
    });
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out promtool")]
fn prometheus_accepts_the_metrics() {
    let fixture = Fixture::small(1);
    for node in nodes(&fixture) {
        let page = page(&fixture, &node);
        let mut check = promtool();
        assert_passes(
            &node.name,
            check.args(["check", "metrics"]),
            page.as_bytes(),
        );
    }
}

#[test]
fn the_panels_of_the_dashboard_lie_beside_each_other() {
    let dashboard = fs::read(monitoring("grafana-dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_slice(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let (mut ids, mut squares) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(x + w <= 24, "{panel}");
        for square in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(squares.insert(square), "{panel}");
        }
    }
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out promtool")]
fn prometheus_accepts_the_samples() {
    let check = |what: &str, path: &Path| {
        let mut promtool = promtool();
        assert_passes(what, promtool.args(["check", what]).arg(path), b"");
    };
    check("config", &monitoring("prometheus.yml"));
    check("rules", &monitoring("alerts.yml"));
    let dashboard = fs::read(monitoring("grafana-dashboard.json")).unwrap();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let rules = folder.path().join("dashboard.yml");
    fs::write(
        &rules,
        as_rules(&serde_json::from_slice(&dashboard).unwrap()),
    )
    .unwrap();
    check("rules", &rules);
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out promtool")]
fn alerts_are_raised_when_they_should_be() {
    let cases = Path::new(SOURCES).join("test-cluster/tests/alerts.yml");
    let mut promtool = promtool();
    assert_passes("alerts", promtool.args(["test", "rules"]).arg(cases), b"");
}
