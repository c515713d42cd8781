//! Each command when nothing is wrong but the request.

use std::io::Write;
use std::path::PathBuf;

use proto::ErrorCode;
use xxhash_rust::xxh3::xxh3_128;

use super::support::{Node, code, upload_head};
use test_support::until;

const TEXT: &[u8] = b"The quick brown fox jumps over the lazy dog. 0123456789\n";

#[test]
fn a_file_goes_in_and_comes_out() {
    let node = Node::start();
    let mut client = node.client();
    client.upload("fox", TEXT).unwrap();
    assert_eq!(client.size("fox").unwrap(), 56);
    assert_eq!(client.download("fox", 0, 0).unwrap(), TEXT);
    assert_eq!(client.download("fox", 4, 11).unwrap(), b"quick brown");
    assert_eq!(client.download("fox", 50, 0).unwrap(), &TEXT[50..]);
    assert_eq!(client.download("fox", 56, 0).unwrap(), b"");
    let stat = client.stat("fox").unwrap();
    assert_eq!((stat.size, stat.checksum), (56, Some(xxh3_128(TEXT))));
    assert!(stat.modified > 1_700_000_000);
    client.delete("fox").unwrap();
    for code in [
        code(client.size("fox")),
        code(client.stat("fox")),
        code(client.download("fox", 0, 0)),
        code(client.delete("fox")),
    ] {
        assert_eq!(code, ErrorCode::NotFound);
    }
    assert!(node.files().is_empty());
}

#[test]
fn large_and_empty_files_are_files_too() {
    let node = Node::start();
    let mut client = node.client();
    let large: Vec<u8> = (0..5_000_000u32).flat_map(|i| i.to_le_bytes()).collect();
    client.upload("large", &large).unwrap();
    client.upload("empty", b"").unwrap();
    assert!(client.download("large", 0, 0).unwrap() == large);
    assert!(
        client.download("large", 12_345_678, 3_000_000).unwrap() == large[12_345_678..15_345_678]
    );
    assert_eq!(
        client.stat("large").unwrap().checksum,
        Some(xxh3_128(&large))
    );
    assert_eq!(client.size("empty").unwrap(), 0);
    assert_eq!(client.download("empty", 0, 0).unwrap(), b"");
    client.delete("empty").unwrap();
}

#[test]
fn the_path_is_made_of_the_number() {
    let node = Node::start();
    let mut client = node.client();
    for file in ["a", "b"] {
        client.upload(file, TEXT).unwrap();
    }
    let mut files = node.files();
    files.sort();
    let data = node.folder.path().join("data/000/000/000");
    for (number, file) in files.iter().enumerate() {
        assert_eq!(file.parent().unwrap(), data);
        let name = file.file_name().unwrap().to_str().unwrap();
        let (time, digits) = name.split_once('_').unwrap();
        assert!(u64::from_str_radix(time, 16).unwrap() > 1_700_000_000);
        assert_eq!(digits, format!("{number:03X}"));
    }
    assert_eq!(files.len(), 2);
}

#[test]
fn a_slash_at_the_end_of_a_store_path_is_in_no_row() {
    let node = Node::start_with(|config| config.store_paths[0].push('/'));
    let mut client = node.client();
    client.upload("a", TEXT).unwrap();
    let database = node.folder.path().join("storage.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    let sql = "SELECT file_path FROM t_file_02";
    let path: String = connection.query_row(sql, (), |row| row.get(0)).unwrap();
    assert_eq!(std::path::Path::new(&path), node.files()[0]);
    assert!(!path.contains("//"), "{path}");
    assert_eq!(client.download("a", 0, 0).unwrap(), TEXT);
    client.delete("a").unwrap();
}

#[test]
fn ranges_outside_the_file_are_refused_in_the_words_of_the_cpp_storage() {
    let node = Node::start();
    let mut client = node.client();
    client.upload("fox", TEXT).unwrap();
    let message = |result: Result<Vec<u8>, proto::Fault>| result.unwrap_err().message;
    assert_eq!(
        message(client.download("fox", 100, 1)),
        "[vm] invalid offset, 100 is not between 0 and 56"
    );
    assert_eq!(
        message(client.download("fox", 50, 100)),
        "[vm] invalid size, 100 is not between 0 and 6"
    );
    assert_eq!(
        message(client.download("fox", 56, 1)),
        "[vm] invalid size, 1 is not between 0 and 0"
    );
    let mut negative = proto::storage::StorageRequest::Download(proto::storage::Download {
        key: super::support::key("fox"),
        offset: 0,
        size: 0,
    })
    .encode();
    let at = negative.len() - 16;
    negative[at..at + 8].copy_from_slice(&(-1i64).to_be_bytes());
    assert_eq!(
        message(client.send(&negative)),
        "[vm] offset is negative: -1"
    );
}

#[test]
fn an_existing_file_is_left_alone() {
    let node = Node::start();
    let mut client = node.client();
    client.upload("fox", TEXT).unwrap();
    assert_eq!(code(client.upload("fox", b"other")), ErrorCode::Exists);
    assert_eq!(client.download("fox", 0, 0).unwrap(), TEXT);
    assert_eq!(node.files().len(), 1);
}

#[test]
fn of_many_uploads_of_one_id_one_wins() {
    let node = Node::start();
    let mut clients: Vec<_> = (0..8).map(|_| node.client()).collect();
    // All have begun before any ends.
    for client in &mut clients {
        client.0.write_all(&upload_head("same", 4)).unwrap();
        client.0.write_all(b"sa").unwrap();
    }
    until("all have begun", || node.files().len() == 8);
    let won = clients.iter_mut().map(|client| match client.send(b"me") {
        Ok(_) => 1,
        Err(fault) => {
            assert_eq!(fault.code, ErrorCode::Exists);
            0
        }
    });
    assert_eq!(won.sum::<i32>(), 1);
    assert_eq!(node.files().len(), 1);
    assert_eq!(node.client().download("same", 0, 0).unwrap(), b"same");
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    let node = Node::start();
    for sent in [0, 1, 3 << 20] {
        let mut client = node.client();
        client.0.write_all(&upload_head("broken", 8 << 20)).unwrap();
        client.0.write_all(&vec![7; sent]).unwrap();
        until("it has begun", || node.files().len() == 1);
        drop(client);
        until("it is gone", || node.files().is_empty());
    }
    assert_eq!(code(node.client().size("broken")), ErrorCode::NotFound);
    node.client().upload("broken", TEXT).unwrap();
}

#[test]
fn files_survive_a_restart_and_are_shared_by_peers() {
    let mut node = Node::start();
    node.client().upload("fox", TEXT).unwrap();
    let peer = node.peer();
    assert_eq!(peer.client().download("fox", 0, 0).unwrap(), TEXT);
    node.restart();
    assert_eq!(node.client().download("fox", 0, 0).unwrap(), TEXT);
    // The peer has the row in its cache; the file is gone all the same.
    node.client().delete("fox").unwrap();
    assert_eq!(
        code(peer.client().download("fox", 0, 0)),
        ErrorCode::NotFound
    );
    node.client().upload("fox", b"another fox").unwrap();
    assert_eq!(peer.client().download("fox", 0, 0).unwrap(), b"another fox");
    node.client().delete("fox").unwrap();
    node.client().upload("fox", b"a third").unwrap();
    assert_eq!(peer.client().size("fox").unwrap(), 7);
}

#[test]
fn numbers_that_one_store_path_has_left_serve_while_no_idserver_answers() {
    let mut node = Node::start_with(|config| {
        let second = format!("{}2", config.store_paths[0]);
        config.store_paths.push(second);
    });
    let mut client = node.client();
    client.upload("first", b"x").unwrap();
    node.idserver.take().unwrap().shutdown();
    // The turn of each store path comes.
    for file in ["a", "b", "c", "d"] {
        client.upload(file, b"x").unwrap();
    }
    let in_second = |file: &PathBuf| file.starts_with(&node.config.store_paths[1]);
    let n_in_second = node.files().into_iter().filter(in_second).count();
    assert!([0, 5].contains(&n_in_second), "{n_in_second}");
}

#[test]
fn store_paths_are_taken_in_turn() {
    let node = Node::start_with(|config| {
        let second = format!("{}2", config.store_paths[0]);
        config.store_paths.push(second);
    });
    let mut client = node.client();
    for file in ["a", "b", "c", "d"] {
        client.upload(file, file.as_bytes()).unwrap();
    }
    let in_second = node
        .files()
        .iter()
        .filter(|f| f.starts_with(&node.config.store_paths[1]))
        .count();
    assert_eq!((node.files().len(), in_second), (4, 2));
    for file in ["a", "b", "c", "d"] {
        assert_eq!(client.download(file, 0, 0).unwrap(), file.as_bytes());
    }
}
