//! The examples of docs/signed-urls/ sign the vectors of docs/protocol.md.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use percent_encoding::percent_decode_str;
use test_support::process::run;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

/// Interpreters, the programs that tell that they are installed, and their examples.
const EXAMPLES: [(&str, &str, &str); 4] = [
    ("python3", "python3", "sign.py"),
    ("php", "php", "sign.php"),
    // Java compiles the example, so it needs the development kit.
    ("java", "javac", "Sign.java"),
    ("node", "node", "sign.mjs"),
];

/// A row of the table of vectors, and the key of all rows.
pub struct Vector {
    pub key: String,
    pub expires: String,
    pub limits: String,
    pub client: String,
    pub path: String,
    token: String,
}

impl Vector {
    /// The decoded segments of the path.
    pub fn segments(&self) -> Vec<String> {
        let segments = self.path.split('/').skip(1);
        let decode = |text| percent_decode_str(text).decode_utf8().unwrap().into_owned();
        segments.map(decode).collect()
    }

    pub fn url(&self) -> String {
        format!("/s/{}{}", self.token, self.path)
    }

    fn signed_by(&self, interpreter: &str, example: &str) -> String {
        let mut command = Command::new(interpreter);
        command.arg(examples().join(example));
        command.args([&self.key, &self.expires, &self.limits, &self.client]);
        command.args(self.segments()).stdin(Stdio::null());
        run(&mut command).unwrap().trim_end().to_owned()
    }
}

pub fn examples() -> PathBuf {
    Path::new(DOCS).join("signed-urls")
}

/// Reads the vectors of docs/protocol.md.
pub fn vectors() -> Vec<Vector> {
    let text = std::fs::read_to_string(Path::new(DOCS).join("protocol.md")).unwrap();
    let (_, text) = text.split_once("Vectors, with the key `").unwrap();
    let (key, table) = text.split_once('`').unwrap();
    let rows = table
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row
            .split('|')
            .map(|cell| cell.trim_matches([' ', '`']))
            .collect();
        let &[_, limits, client, path, token, _] = &cells[..] else {
            panic!("no vector: {row}");
        };
        let (expires, _) = token.split_once('.').unwrap();
        Vector {
            key: key.to_owned(),
            expires: expires.to_owned(),
            limits: limits.replace("none", ""),
            client: client.replace('-', ""),
            path: path.to_owned(),
            token: token.to_owned(),
        }
    })
    .collect()
}

fn is_installed(program: &str) -> bool {
    let version = Command::new(program).arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out Python")]
fn examples_sign_the_vectors() {
    let vectors = vectors();
    assert!(vectors.len() >= 4, "{} vectors", vectors.len());
    let installed = EXAMPLES
        .iter()
        .filter(|(_, program, _)| is_installed(program));
    let interpreters: Vec<&str> = installed
        .map(|(interpreter, _, example)| {
            for vector in &vectors {
                assert_eq!(
                    vector.signed_by(interpreter, example),
                    vector.url(),
                    "{example}"
                );
            }
            *interpreter
        })
        .collect();
    println!("examples were run with {interpreters:?}");
    assert!(
        interpreters.contains(&"python3"),
        "python3 is missing: run test-cluster/engines.sh"
    );
}
