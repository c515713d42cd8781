//! LIST and USAGE over a real socket.

use proto::FileKey;
use proto::file_list::{FileList, LIST_MAX, ListRequest, UsagePart};
use proto::storage::StorageRequest;

use super::support::{Client, Node, key};

/// All files of the user, or those with a prefix.
fn wanted(prefix: &str) -> ListRequest {
    let FileKey { app, user, .. } = key("x");
    ListRequest {
        app,
        user,
        prefix: (!prefix.is_empty()).then(|| prefix.parse().unwrap()),
        since: 0,
        after: String::new(),
    }
}

fn list(client: &mut Client, wanted: &ListRequest) -> FileList {
    let request = StorageRequest::List(Box::new(wanted.clone()));
    FileList::decode(&client.send(&request.encode()).unwrap()).unwrap()
}

fn usage(client: &mut Client, wanted: &ListRequest) -> UsagePart {
    let request = StorageRequest::Usage(Box::new(wanted.clone()));
    UsagePart::decode(&client.send(&request.encode()).unwrap()).unwrap()
}

/// Inserts rows of the user, without files.
fn insert_rows(node: &Node, count: u32) {
    let sql = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1) \
        INSERT INTO t_file_02 (id, appid, userid, file_path, file_size, group_name) \
        SELECT printf('row%06d', i), 'tnvideo', 'tnv001', 'nowhere', 10, 'group001' FROM n";
    database(node).execute(sql, [count]).unwrap();
}

fn database(node: &Node) -> rusqlite::Connection {
    rusqlite::Connection::open(node.folder.path().join("storage.db")).unwrap()
}

#[test]
fn a_list_has_what_was_stored_and_not_what_was_deleted() {
    let node = Node::start();
    let mut client = node.client();
    assert_eq!(list(&mut client, &wanted("")), FileList::default());
    for (file, content) in [("film/b", "four"), ("film/a", "ten bytes!"), ("other", "x")] {
        client.upload(file, content.as_bytes()).unwrap();
    }
    client.delete("other").unwrap();
    let FileList { files, next } = list(&mut client, &wanted(""));
    let found: Vec<_> = files
        .iter()
        .map(|file| (file.id.as_str(), file.size))
        .collect();
    assert_eq!(found, [("film/a", 10), ("film/b", 4)]);
    assert_eq!(next, "");
    assert_eq!(files[0].modified, client.stat("film/a").unwrap().modified);
    let sums = usage(&mut client, &wanted("film/"));
    assert_eq!((sums.files, sums.bytes), (2, 14));
    assert_eq!(usage(&mut client, &wanted("film/b")).files, 1);
}

/// Each page at another storage of the group.
#[test]
fn long_lists_come_in_pages() {
    let node = Node::start();
    let peer = node.peer();
    insert_rows(&node, 2_500);
    let mut clients = [node.client(), peer.client()];
    let (mut ids, mut pages, mut wanted) = (Vec::new(), Vec::new(), wanted("row"));
    loop {
        let FileList { files, next } = list(&mut clients[pages.len() % 2], &wanted);
        pages.push(files.len());
        ids.extend(files.into_iter().map(|file| file.id.to_string()));
        if next.is_empty() {
            break;
        }
        wanted.after = next;
    }
    assert_eq!(pages, [LIST_MAX, LIST_MAX, 500]);
    let expected: Vec<String> = (0..2_500).map(|n| format!("row{n:06}")).collect();
    assert_eq!(ids, expected);
    wanted.after = String::new();
    let sums = usage(&mut clients[0], &wanted);
    assert_eq!((sums.files, sums.bytes, &*sums.next), (2_500, 25_000, ""));
}
