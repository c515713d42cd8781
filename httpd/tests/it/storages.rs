//! Storages that die, are of the C++ system, or are not there.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::Ordering;
use std::thread;

use super::support::{Front, Storage, content};

fn holding(file: &[u8]) -> Storage {
    Storage {
        files: HashMap::from([("x", file.to_vec())]),
        ..Storage::default()
    }
}

#[test]
fn a_stream_goes_on_from_another_storage_at_the_right_byte() {
    let file = content(3_000_000);
    let dying = Storage {
        breaks_after: Some(1_000_001),
        ..holding(&file)
    };
    let other = holding(&file);
    let asked = (dying.downloads.clone(), other.downloads.clone());
    let front = Front::of(vec![dying, other]);
    let mut browser = front.connect();
    for _ in 0..2 {
        let answer = browser.ask("GET", "/files/x/f.bin", &[]);
        assert!(answer.body == file);
        let answer = browser.ask("GET", "/files/x/f.bin", &[("Range", "bytes=777-2999990")]);
        assert!(answer.body == file[777..=2_999_990]);
    }
    let count = |n: &std::sync::atomic::AtomicUsize| n.load(Ordering::Relaxed);
    assert!(count(&asked.0) > 0 && count(&asked.1) > 0, "{asked:?}");
}

#[test]
fn who_takes_a_glance_does_not_make_a_storage_send_everything() {
    let file = content(3_000_000);
    let storage = holding(&file);
    let asked = storage.asked.clone();
    let front = Front::of(vec![storage]);
    front.connect().glance("/files/x/f.bin", 1000);
    assert_eq!(*asked.lock().unwrap(), [(0, 256 << 10)]);
    assert!(front.get("/files/x/f.bin", &[]).body == file);
    let rest = (256 << 10, 3_000_000 - (256 << 10));
    assert_eq!(asked.lock().unwrap()[1..], [(0, 256 << 10), rest]);
}

#[test]
fn a_stream_ends_where_the_file_was_replaced() {
    let file = content(3_000_000);
    let front = Front::of(vec![Storage {
        renewed: true,
        ..holding(&file)
    }]);
    let answer = front.connect().glance("/files/x/f.bin", u64::MAX);
    let head = answer
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .unwrap()
        + 4;
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
    assert!(answer[head..] == file[..256 << 10]);
}

#[test]
fn a_storage_that_is_gone_is_passed_over() {
    let file = content(100_000);
    let mut front = Front::of(vec![holding(&file), holding(&file)]);
    assert!(front.get("/files/x", &[]).body == file);
    front.servers.remove(1).shutdown();
    assert!(front.get("/files/x", &[]).body == file);
    front.servers.remove(1).shutdown();
    let answer = front.get("/files/x", &[]);
    assert_eq!(
        (answer.status, answer.field("retry-after")),
        (503, Some("2"))
    );
}

#[test]
fn a_storage_that_says_nothing_is_passed_over_for_all_who_wait() {
    let file = content(100_000);
    // The system connects to it, and nobody answers.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let front = Front::behind(Some(silent.local_addr().unwrap()), vec![holding(&file)]);
    thread::scope(|scope| {
        let get = || front.get("/files/x/f.bin", &[]);
        for waiting in [get; 3].map(|get| scope.spawn(get)) {
            let answer = waiting.join().unwrap();
            assert!(answer.status == 200 && answer.body == file);
        }
    });
}

#[test]
fn behind_a_cpp_storage_only_the_validators_are_missing() {
    let file = content(100_000);
    let front = Front::of(vec![Storage {
        cpp: true,
        ..holding(&file)
    }]);
    for _ in 0..2 {
        let answer = front.get("/files/x/f.mp4", &[("Range", "bytes=5-9")]);
        assert_eq!((answer.status, answer.body.as_slice()), (206, &file[5..10]));
        assert_eq!(
            (answer.field("etag"), answer.field("last-modified")),
            (None, None)
        );
    }
    assert!(front.get("/files/x", &[("If-None-Match", "\"a\"")]).body == file);
    assert_eq!(front.get("/files/y", &[]).status, 404);
}

#[test]
fn a_type_that_could_not_be_looked_at_is_looked_at_again() {
    let mut film = b"\0\0\0\x18ftypisom\0\0\0\0isommp42".to_vec();
    film.resize(1000, 0);
    let storage = holding(&film);
    let lost = storage.lost.clone();
    let front = Front::of(vec![storage]);
    lost.store(true, Ordering::Relaxed);
    assert_eq!(front.get("/files/x", &[]).status, 502);
    lost.store(false, Ordering::Relaxed);
    let answer = front.get("/files/x", &[]);
    assert_eq!(answer.field("content-type"), Some("video/mp4"));
}

#[test]
fn a_type_is_remembered_only_with_a_tag() {
    for (cpp, n_downloads) in [(false, 3), (true, 4)] {
        let storage = Storage {
            cpp,
            ..holding(&content(1000))
        };
        let downloads = storage.downloads.clone();
        let front = Front::of(vec![storage]);
        for _ in 0..2 {
            // The content of this answer does not tell the type.
            let answer = front.get("/files/x", &[("Range", "bytes=600-")]);
            assert_eq!(answer.status, 206);
        }
        assert_eq!(downloads.load(Ordering::Relaxed), n_downloads);
    }
}

#[test]
fn a_row_without_checksum_has_a_weak_tag() {
    let front = Front::of(vec![Storage {
        unsummed: true,
        ..holding(&content(100))
    }]);
    let answer = front.get("/files/x", &[]);
    let tag = answer.field("etag").unwrap();
    assert!(tag.starts_with("W/\""), "{tag}");
    assert_eq!(front.get("/files/x", &[("If-None-Match", tag)]).status, 304);
    let answer = front.get("/files/x", &[("Range", "bytes=0-1"), ("If-Range", tag)]);
    assert_eq!(answer.status, 200);
}
