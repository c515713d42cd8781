//! Tells the crate what it was built from, for `tnv_build_info`: the commit and the compiler.
//!
//! `TNV_COMMIT` in the environment has precedence, for packages built without a repository.
//! Development builds do not name a commit: they would have to be made anew after each.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=TNV_COMMIT");
    println!("cargo::rustc-env=TNV_COMMIT={}", commit());
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = output(&rustc, &["--version"]).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=TNV_RUSTC={version}");
}

fn commit() -> String {
    if let Ok(commit) = env::var("TNV_COMMIT") {
        return commit;
    }
    if env::var("PROFILE").as_deref() != Ok("release") {
        return "development".to_owned();
    }
    // Both change with every commit; a branch that is checked out changes the first.
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = output("git", &["rev-parse", "--git-path", file]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let commit = output("git", &["rev-parse", "--short=12", "HEAD"]);
    commit.unwrap_or_else(|| "unknown".to_owned())
}

/// The output of a program, if it succeeds and prints something.
fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
