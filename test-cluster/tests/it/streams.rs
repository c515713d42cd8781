//! Uploads with `tnv`, downloads with HTTP.

use std::io::Read;

use bench::Content;
use test_cluster::{APP, Layout, Role, USER};

use crate::support::{Fixture, MIB};

fn bytes_of(content: &Content) -> Vec<u8> {
    let mut bytes = Vec::new();
    content.clone().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn http_serves_the_bytes_that_tnv_has_uploaded() {
    let fixture = Fixture::start(&Layout {
        httpds: 2,
        ..Layout::small(2)
    });
    for (idx, size) in [0, 1, 1023, 64 << 10, 5 * MIB + 123]
        .into_iter()
        .enumerate()
    {
        let content = Content::new(idx as u64, size);
        let path = fixture.local_file("film.mp4", &content);
        let id = fixture.tnv_upload(&path);
        let whole = bytes_of(&content);
        for httpd in fixture.cluster.addresses(Role::Httpd) {
            for form in [id.clone(), format!("{APP}/{USER}/{id}/film.mp4")] {
                let url = format!("http://{httpd}/files/{form}");
                let page = fixture.get(&url, None);
                assert_eq!(page.status, 200, "{url}");
                assert!(page.body == whole, "{url}: {} bytes", page.body.len());
            }
        }
        let back = fixture.folder_path("back.mp4");
        let args = [
            "download".as_ref(),
            id.as_ref(),
            "-o".as_ref(),
            back.as_os_str(),
        ];
        fixture.tnv().say(args).unwrap();
        assert!(std::fs::read(&back).unwrap() == whole);
        std::fs::remove_file(back).unwrap();
    }
}

#[test]
fn ranges_equal_the_parts_of_the_whole() {
    let fixture = Fixture::small(2);
    let content = Content::new(3, 3 * MIB + 7);
    let id = fixture.upload(&content).file.as_str().to_owned();
    let (url, whole) = (fixture.url(&id), bytes_of(&content));
    let len = whole.len();
    let cases = [
        ("bytes=0-0".to_owned(), 0, 1),
        ("bytes=0-1023".to_owned(), 0, 1024),
        (
            format!("bytes={}-{}", len / 2, len / 2 + MIB as usize),
            len / 2,
            len / 2 + MIB as usize + 1,
        ),
        ("bytes=-1".to_owned(), len - 1, len),
        ("bytes=-500".to_owned(), len - 500, len),
        (format!("bytes=-{}", len * 2), 0, len),
        ("bytes=1000-".to_owned(), 1000, len),
        (format!("bytes={}-{}", len - 10, len * 3), len - 10, len),
    ];
    for (range, first, end) in cases {
        let page = fixture.get(&url, Some(&range));
        assert_eq!(page.status, 206, "{range}");
        let expected = format!("bytes {first}-{}/{len}", end - 1);
        assert_eq!(page.field("content-range"), Some(&*expected), "{range}");
        assert!(
            page.body == whole[first..end],
            "{range}: {} bytes",
            page.body.len()
        );
    }
    let page = fixture.get(&url, Some(&format!("bytes={len}-")));
    assert_eq!(page.status, 416);
}

#[test]
fn no_server_finds_a_deleted_file() {
    let fixture = Fixture::start(&Layout {
        httpds: 2,
        ..Layout::small(2)
    });
    let content = Content::new(4, 100_000);
    let id = fixture.upload(&content).file.as_str().to_owned();
    fixture.assert_streams(&id, &content);
    fixture.tnv().say(["delete", &id]).unwrap();
    for httpd in fixture.cluster.addresses(Role::Httpd) {
        let page = fixture.get(&format!("http://{httpd}/files/{id}"), None);
        assert_eq!(page.status, 404);
    }
    let again = fixture.tnv().run(["stat", &id]).unwrap();
    assert_eq!(again.status.code(), Some(3));
    let (files, temporaries) = fixture.stored();
    assert_eq!((files, temporaries), (vec![], vec![]));
    assert_eq!(fixture.n_rows(), 0);
}
