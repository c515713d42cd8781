use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::*;
use crate::disks::limiter::DiskCaller;
use crate::disks::store_path::{self, StorePath};

const RELATIVE: &str = "000/001/002/5F9E3FA7_000";

/// A complete file of a store path whose rename is refused, as its temporary file is away. Returns
/// where that is.
fn refused_rename(folder: &Path, writer: &FileWriter, store_path: &StorePath) -> PathBuf {
    let reserved = store_path.reserve(RELATIVE, 3, Ipv4Addr::LOCALHOST.into());
    let (at, reservation) = reserved.unwrap();
    let mut new = writer.create(at, reservation).unwrap();
    new.write(b"new").unwrap();
    let away = folder.join("away");
    fs::rename(folder.join(&new.temporary), &away).unwrap();
    let refused = writer.make_final(&mut new).unwrap_err();
    assert!(matches!(refused, WriteError::Refused(_)), "{refused:?}");
    away
}

fn clean_up(writer: &FileWriter, store_path: &StorePath) {
    let resolve = |path: &str| {
        let relative = path.strip_prefix(&store_path.text).unwrap();
        store_path.resolve(relative.trim_start_matches('/'), DiskCaller::Background)
    };
    writer.remove_stale_files(&store_path.text, resolve);
}

#[test]
fn a_refused_rename_costs_no_other_file_of_the_same_name() {
    let folder = tempfile::tempdir().unwrap();
    let store_path = store_path::tests::open(folder.path().to_str().unwrap());
    let writer = FileWriter::new(Durability::Full);
    let away = refused_rename(folder.path(), &writer, &store_path);
    // Another upload got the same number.
    let path = folder.path().join(RELATIVE);
    fs::write(&path, "other").unwrap();
    for _ in 0..3 {
        clean_up(&writer, &store_path);
        assert_eq!(fs::read_to_string(&path).unwrap(), "other");
    }
    // A brick that did the rename brings the file itself.
    fs::rename(&away, &path).unwrap();
    clean_up(&writer, &store_path);
    assert!(!path.exists());
}
