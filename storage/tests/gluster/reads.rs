//! A file that one storage has stored its peer has at once; a file that one has deleted its peer has no more.

use std::time::Instant;

use proto::ErrorCode;

use super::group::{Group, content, shared};
use super::support::Client;

const SIZES: [usize; 8] = [0, 1, 100, 4096, 65_536, 131_073, 300_000, 1 << 20];
const ROUNDS: usize = 600;

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out GlusterFS"
)]
fn a_file_is_read_at_once_through_the_peer() {
    hammer(&Group::start("reads", ""), true);
}

/// Whoever forgets the settings may see a deleted file for a second: never miss one that is there.
#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out GlusterFS"
)]
fn so_it_is_with_the_defaults_of_glusterfs() {
    let shared = shared();
    let volume = shared.gluster().volume("defaults").unwrap();
    volume.reset().unwrap();
    hammer(&Group::on(shared, volume, "defaults", ""), false);
}

/// A thread for each direction.
fn hammer(group: &Group, deletes: bool) {
    let start = Instant::now();
    let [a, b] = &group.nodes;
    let failures: Vec<String> = std::thread::scope(|scope| {
        let threads = [(a, b, "ab"), (b, a, "ba")].map(|(from, to, name)| {
            scope.spawn(move || {
                let (mut from, mut to) = (from.client(), to.client());
                (0..ROUNDS)
                    .filter_map(|idx| round(name, idx, &mut from, &mut to, deletes).err())
                    .collect::<Vec<_>>()
            })
        });
        threads
            .into_iter()
            .flat_map(|t| t.join().unwrap())
            .collect()
    });
    let rounds = 2 * ROUNDS;
    eprintln!("{rounds} files stored and read in {:?}", start.elapsed());
    assert!(
        failures.is_empty(),
        "{} of {rounds}: {failures:#?}",
        failures.len()
    );
}

fn round(
    name: &str,
    idx: usize,
    from: &mut Client,
    to: &mut Client,
    deletes: bool,
) -> Result<(), String> {
    let file = format!("{name}{idx}");
    let bytes = content(idx, SIZES[idx % SIZES.len()]);
    let say = |what: &str, e: &dyn std::fmt::Display| format!("{file}: {what}: {e}");
    from.upload(&file, &bytes).map_err(|e| say("upload", &e))?;
    let read = to.download(&file, 0, 0).map_err(|e| say("download", &e))?;
    if read != bytes {
        return Err(say("download", &"other bytes"));
    }
    let size = to.size(&file).map_err(|e| say("size", &e))?;
    if size != bytes.len() as u64 {
        return Err(say("size", &size));
    }
    if bytes.len() > 50 {
        let range = to.download(&file, 10, 20).map_err(|e| say("range", &e))?;
        if range != bytes[10..30] {
            return Err(say("range", &"other bytes"));
        }
    }
    if deletes && idx.is_multiple_of(3) {
        gone(&file, from, to)?;
    }
    Ok(())
}

/// The other one has its row in memory and the file in the caches of its mount.
fn gone(file: &str, from: &mut Client, to: &mut Client) -> Result<(), String> {
    from.delete(file)
        .map_err(|e| format!("{file}: delete: {e}"))?;
    let size = to.size(file).map_err(|e| e.code);
    if size != Err(ErrorCode::NotFound) {
        return Err(format!("{file}: deleted, and its size is {size:?}"));
    }
    match to.download(file, 0, 0).map_err(|e| e.code) {
        Err(ErrorCode::NotFound) => Ok(()),
        other => Err(format!(
            "{file}: deleted, and read: {:?}",
            other.map(|b| b.len())
        )),
    }
}
