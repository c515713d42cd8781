//! Parts of files.

use super::support::{Front, LAST_MODIFIED, content};

#[test]
fn single_ranges_are_exact_at_both_ends() {
    let file = content(300_000);
    let front = Front::with(&[("x", &file)]);
    for (field, from, to) in [
        ("bytes=0-0", 0, 0),
        ("bytes=0-299999", 0, 299_999),
        ("bytes=100000-200000", 100_000, 200_000),
        ("bytes=299999-", 299_999, 299_999),
        ("bytes=250000-9999999", 250_000, 299_999),
        ("bytes=-1", 299_999, 299_999),
        ("bytes=-300001", 0, 299_999),
    ] {
        let answer = front.get("/files/x", &[("Range", field)]);
        assert_eq!(answer.status, 206, "{field}");
        let range = format!("bytes {from}-{to}/300000");
        assert_eq!(answer.field("content-range"), Some(range.as_str()));
        assert!(answer.body == file[from..=to], "{field}");
    }
    let answer = front.get("/files/x", &[("Range", "bytes=300000-")]);
    assert_eq!(
        (answer.status, answer.field("content-range")),
        (416, Some("bytes */300000"))
    );
    assert_eq!(front.get("/files/x", &[("Range", "bytes=5-1")]).status, 200);
}

#[test]
fn several_ranges_come_as_parts() {
    let file = content(1000);
    let front = Front::with(&[("x", &file)]);
    let answer = front.get("/files/x/f.mp4", &[("Range", "bytes=500-509, 0-0, -2")]);
    assert_eq!((answer.status, answer.field("content-range")), (206, None));
    let kind = answer.field("content-type").unwrap();
    let boundary = kind
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let mut expected: Vec<u8> = Vec::new();
    for (i, (from, to)) in [(500, 509), (0, 0), (998, 999)].into_iter().enumerate() {
        let line_end = if i == 0 { "" } else { "\r\n" };
        let head = format!(
            "{line_end}--{boundary}\r\nContent-Type: video/mp4\r\n\
             Content-Range: bytes {from}-{to}/1000\r\n\r\n"
        );
        expected.extend(head.as_bytes());
        expected.extend(&file[from..=to]);
    }
    expected.extend(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert_eq!(answer.body, expected);
}

#[test]
fn a_range_counts_only_if_the_file_is_the_same() {
    let front = Front::with(&[("x", &content(1000))]);
    let tag = front.get("/files/x", &[]).field("etag").unwrap().to_owned();
    let weak = format!("W/{tag}");
    for (condition, status) in [
        (tag.as_str(), 206),
        (weak.as_str(), 200),
        ("\"other\"", 200),
        (LAST_MODIFIED, 206),
        ("Sun, 13 Sep 2020 12:26:41 GMT", 200),
        ("rubbish", 200),
    ] {
        let answer = front.get(
            "/files/x",
            &[("Range", "bytes=0-9"), ("If-Range", condition)],
        );
        assert_eq!(answer.status, status, "{condition}");
        assert_eq!(answer.body.len(), if status == 206 { 10 } else { 1000 });
    }
}
