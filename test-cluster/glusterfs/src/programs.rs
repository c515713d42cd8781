//! The required programs and their Debian packages.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// Each program and its package.
const NEEDED: [(&str, &str); 7] = [
    ("glusterd", "glusterfs-server"),
    ("glusterfs", "glusterfs-client"),
    ("gluster", "glusterfs-client"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("umount", "mount"),
];

/// Checks that this is root and that all programs are installed.
///
/// # Errors
/// A program is missing; the message names the packages.
pub fn require() -> anyhow::Result<()> {
    let missing: Vec<_> = NEEDED.iter().filter(|(name, _)| !is_there(name)).collect();
    let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
    let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    ensure!(
        missing.is_empty(),
        "no {} on this machine: install the Debian packages {}",
        names.join(", "),
        packages.join(" ")
    );
    ensure!(
        rustix::process::geteuid().is_root() && Path::new("/dev/fuse").exists(),
        "GlusterFS is mounted by root, with /dev/fuse"
    );
    Ok(())
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The program that `gluster volume heal` runs; its folder differs between systems.
pub(crate) fn glfsheal() -> anyhow::Result<PathBuf> {
    let libraries = std::fs::read_dir("/usr/lib")?.flatten();
    let places = libraries.map(|entry| entry.path().join("glusterfs/glfsheal"));
    let mut all = places.chain([PathBuf::from("/usr/libexec/glusterfs/glfsheal")]);
    all.find(|path| path.is_file())
        .context("no glfsheal below /usr/lib or /usr/libexec")
}
