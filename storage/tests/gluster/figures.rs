//! How fast uploads are, beside `dd` on the same mount. Figures are printed, not judged: machines
//! differ.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::group::{Group, content};

const MIB: usize = 100;
const ROUNDS: usize = 3;

#[test]
fn uploads_beside_dd() {
    if !test_glusterfs::is_wanted() {
        return;
    }
    for (durability, conv) in [("full", "conv=fsync"), ("none", "")] {
        let group = Group::start(durability, &format!("durability = \"{durability}\""));
        let bytes = content(1, MIB << 20);
        let mut client = group.nodes[0].client();
        let (mut plain, mut stored) = (Vec::new(), Vec::new());
        for idx in 0..ROUNDS {
            plain.push(dd(&group.nodes[0].data(), conv));
            let start = Instant::now();
            client.upload(&format!("f{idx}"), &bytes).unwrap();
            stored.push(start.elapsed().as_secs_f64());
        }
        let (plain, stored) = (median(plain), median(stored));
        let speed = |secs: f64| MIB as f64 / secs;
        eprintln!(
            "durability {durability}: dd {conv} {:.0} MiB/s, upload {:.0} MiB/s, ratio {:.2}",
            speed(plain),
            speed(stored),
            plain / stored
        );
    }
}

/// Seconds that dd needs for as many bytes.
fn dd(folder: &Path, conv: &str) -> f64 {
    let file = folder.join("dd");
    let start = Instant::now();
    let done = Command::new("dd")
        .args(["if=/dev/zero", "bs=1M", "status=none"])
        .arg(format!("count={MIB}"))
        .arg(format!("of={}", file.display()))
        .args((!conv.is_empty()).then_some(conv))
        .status()
        .unwrap();
    assert!(done.success());
    let took = start.elapsed().as_secs_f64();
    std::fs::remove_file(file).unwrap();
    took
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
