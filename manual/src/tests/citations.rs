//! Comments cite sections of `docs/protocol.md` that exist.

use std::fs;
use std::path::Path;

use super::messages::collect;

const DOCUMENT: &str = include_str!("../../../docs/protocol.md");
const CITATION: &str = "(docs/protocol.md, ";
const CRATES: [&str; 11] = [
    "proto", "base", "db", "net", "daemon", "tracker", "idserver", "storage", "httpd", "client",
    "cli",
];

#[test]
fn cited_sections_exist() {
    let headings: Vec<&str> = DOCUMENT
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim())
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for name in CRATES {
        collect(&root.join(name).join("src"), &mut files);
    }
    let mut n_cited = 0;
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        for citation in source.split(CITATION).skip(1) {
            let section = citation.split(')').next().unwrap();
            assert!(headings.contains(&section), "{}: {section}", file.display());
            n_cited += 1;
        }
    }
    assert!(n_cited > 5, "{n_cited}");
}
