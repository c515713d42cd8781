//! The figures of the textfile collector for a volume that has something to heal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::group::{Group, content, shared};
use test_support::until;

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../etc/monitoring/gluster-heal.sh"
);
const METRICS: [&str; 4] = [
    "tnv_gluster_heal_info_up",
    "tnv_gluster_heal_pending_entries",
    "tnv_gluster_split_brain_entries",
    "tnv_gluster_brick_connected",
];

/// The collector, with a `gluster` that runs a command of the test.
struct Collector {
    folder: tempfile::TempDir,
}

impl Collector {
    /// `command` answers for each volume but `other`.
    fn new(command: &[String]) -> Collector {
        let folder = tempfile::tempdir().unwrap();
        let gluster = folder.path().join("gluster");
        let text = format!(
            "#!/bin/sh\n[ \"$3\" != other ] || {{ echo 'Volume other does not exist'; exit 1; }}\n\
             [ \"$2\" != list ] || {{ echo counted; echo other; exit; }}\n\
             [ \"$1 $2 $4 $5\" = 'volume heal info summary' ] || exit 2\nexec {}\n",
            command.join(" ")
        );
        fs::write(&gluster, text).unwrap();
        fs::set_permissions(&gluster, fs::Permissions::from_mode(0o755)).unwrap();
        Collector { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("tnv-gluster.prom")
    }

    fn page(&self, volumes: &[&str]) -> String {
        let path = std::env::var("PATH").unwrap();
        let folder = self.folder.path().display();
        let mut command = Command::new(SCRIPT);
        command.arg(self.file()).args(volumes);
        let status = command.env("PATH", format!("{folder}:{path}")).status();
        assert!(status.unwrap().success());
        fs::read_to_string(self.file()).unwrap()
    }

    fn files(&self) -> usize {
        fs::read_dir(self.folder.path()).unwrap().count()
    }
}

/// The values of a metric, in the order of the bricks' names.
fn values(page: &str, metric: &str) -> Vec<u64> {
    let start = format!("{metric}{{");
    let samples = page.lines().filter(|line| line.starts_with(&start));
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
    let collector = Collector::new(&volume.heal_info().unwrap());
    // A storage with the settings of earlier versions starts.
    let ignored = "[gluster]\nheal_interval = \"200ms\"\nheal_command = [\"false\"]\n";
    let group = Group::on(shared, volume, "counted", ignored);
    let [node, _] = &group.nodes;
    let told = |page: &str| METRICS.map(|metric| values(page, metric));
    let page = || collector.page(&["counted"]);
    let well = [vec![1], vec![0; 3], vec![0; 3], vec![1; 3]];
    until("all is known to be well", || told(&page()) == well);
    for metric in METRICS {
        assert!(page().contains(&format!(
            "# TYPE {metric} gauge\n{metric}{{volume=\"counted\""
        )));
    }
    group.volume.kill_brick(0).unwrap();
    node.client().upload("f", &content(1, 70_000)).unwrap();
    until(
        "something is to be healed, on the bricks that are left",
        || {
            let [up, pending, _, connected] = told(&page());
            up == [1] && connected == [0, 1, 1] && pending.len() == 2 && !pending.contains(&0)
        },
    );
    assert!(page().contains("brick=\"192.0.2.1:"));
    group.volume.start_bricks().unwrap();
    group.volume.heal().unwrap();
    until("it is healed", || told(&page()) == well);
    assert!(node.page("/healthz").ends_with("ok\n"));
    assert_eq!(collector.files(), 2, "no temporary file is left");
    let mode = fs::metadata(collector.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn a_volume_that_does_not_answer_is_told_as_unknown() {
    let summary = "Brick node1:/bricks/a\nStatus: Transport endpoint is not connected\n\
        Number of entries in heal pending: -\nNumber of entries in split-brain: -\n\n\
        Brick node2:/bricks/b\nStatus: Connected\n\
        Number of entries in heal pending: 10\nNumber of entries in split-brain: 2\n";
    let text = tempfile::NamedTempFile::new().unwrap();
    fs::write(text.path(), summary).unwrap();
    let collector = Collector::new(&["cat".to_owned(), text.path().display().to_string()]);
    let page = collector.page(&[]);
    let mut samples: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
    samples.sort_unstable();
    let expected = [
        "tnv_gluster_brick_connected{volume=\"counted\",brick=\"node1:/bricks/a\"} 0",
        "tnv_gluster_brick_connected{volume=\"counted\",brick=\"node2:/bricks/b\"} 1",
        "tnv_gluster_heal_info_up{volume=\"counted\"} 1",
        "tnv_gluster_heal_info_up{volume=\"other\"} 0",
        "tnv_gluster_heal_pending_entries{volume=\"counted\",brick=\"node2:/bricks/b\"} 10",
        "tnv_gluster_split_brain_entries{volume=\"counted\",brick=\"node2:/bricks/b\"} 2",
    ];
    assert_eq!(samples, expected);
}

#[test]
fn alerts_and_dashboard_name_only_metrics_of_the_collector() {
    let script = fs::read_to_string(SCRIPT).unwrap();
    let folder = Path::new(SCRIPT).parent().unwrap();
    for file in ["alerts.yml", "grafana-dashboard.json"] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for name in words.filter(|word| word.starts_with("tnv_gluster_")) {
            assert!(script.contains(&format!("\"{name}\"")), "{file}: {name}");
        }
    }
}
