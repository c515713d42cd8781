//! Files that one storage keeps open while its peer deletes them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use proto::ErrorCode;

use super::group::{Group, Node, content};

const FILES: usize = 100;
const READERS: usize = 3;

fn hits(node: &Node) -> u64 {
    let page = node.page("/metrics");
    let name = "tnv_cache_hits_total{cache=\"open_files\"} ";
    let found = page.lines().find_map(|line| line.strip_prefix(name));
    found.unwrap().trim().parse().unwrap()
}

/// Reads a file until it is not found. Returns true if a request that began after the deletion got it.
fn read_on(node: &Node, file: &str, is_deleted: &AtomicBool) -> bool {
    let mut client = node.client();
    loop {
        let was_deleted = is_deleted.load(Ordering::SeqCst);
        match client.download(file, 0, 0) {
            Ok(_) if was_deleted => return true,
            Ok(_) => {}
            Err(fault) => {
                assert_eq!(fault.code, ErrorCode::NotFound, "{fault:?}");
                return false;
            }
        }
    }
}

#[test]
#[cfg_attr(
    not(engines),
    ignore = "TNV_TEST_ENGINES=embedded leaves out GlusterFS"
)]
fn a_file_that_is_read_all_the_time_is_gone_when_the_peer_has_deleted_it() {
    let group = Group::start("open", "");
    let [a, b] = &group.nodes;
    let (mut deleter, mut reader) = (a.client(), b.client());
    let before = hits(b);
    let began = Instant::now();
    for n in 0..FILES {
        let file = format!("f{n}");
        deleter.upload(&file, &content(n, 5000)).unwrap();
        let is_deleted = AtomicBool::new(false);
        let late = std::thread::scope(|scope| {
            let readers: Vec<_> = (0..READERS)
                .map(|_| scope.spawn(|| read_on(b, &file, &is_deleted)))
                .collect();
            for _ in 0..10 {
                // It may be open before all readers are.
                assert_eq!(reader.download(&file, 0, 0).unwrap(), content(n, 5000));
            }
            deleter.delete(&file).unwrap();
            is_deleted.store(true, Ordering::SeqCst);
            let late = reader.download(&file, 0, 0).is_ok();
            let of_readers = readers.into_iter().map(|reader| reader.join().unwrap());
            of_readers.fold(late, |late, one| late | one)
        });
        assert!(!late, "{file} was served after its deletion");
    }
    let hits = hits(b) - before;
    eprintln!(
        "{FILES} files in {:?}, {hits} reads of open ones",
        began.elapsed()
    );
    assert!(
        hits > 10 * FILES as u64,
        "{hits} reads of files that were open"
    );
}
