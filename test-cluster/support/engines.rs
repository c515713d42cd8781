//! The build script of every crate with tests that need MariaDB, GlusterFS, FUSE or promtool.
//!
//! It sets `cfg(engines)`, unless the environment says `TNV_TEST_ENGINES=embedded`: those tests are
//! then reported as ignored, with the reason. Without the variable a missing program is a failure.

// Cargo reads what a build script prints.
#![allow(clippy::print_stdout)]

fn main() {
    println!("cargo::rerun-if-changed=../test-cluster/support/engines.rs");
    println!("cargo::rerun-if-env-changed=TNV_TEST_ENGINES");
    println!("cargo::rustc-check-cfg=cfg(engines)");
    if std::env::var("TNV_TEST_ENGINES").as_deref() != Ok("embedded") {
        println!("cargo::rustc-cfg=engines");
    }
}
