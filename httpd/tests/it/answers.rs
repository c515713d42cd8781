//! Heads, validators, types and refusals.

use test_support::http::Answer;

use super::support::{Front, LAST_MODIFIED, MP4, checksum_of};

#[test]
fn a_whole_file_with_all_that_is_known_of_it() {
    let front = Front::with(&[("x", MP4)]);
    for path in [
        "/files/x",
        "/files/x/film.mp4",
        "/files/tnvideo/tnv001/x/film.mp4?t=1",
    ] {
        let answer = front.get(path, &[]);
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, MP4),
            "{path}"
        );
        assert_eq!(answer.field("content-type"), Some("video/mp4"));
        assert_eq!(answer.field("accept-ranges"), Some("bytes"));
        assert_eq!(answer.field("last-modified"), Some(LAST_MODIFIED));
        let tag = format!("\"{:032x}\"", checksum_of(MP4));
        assert_eq!(answer.field("etag"), Some(tag.as_str()));
        assert_eq!(answer.field("connection"), Some("keep-alive"));
        assert!(answer.field("date").is_some());
    }
    let named = front.get("/files/x/Der%20Film.mp4", &[]);
    assert_eq!(
        named.field("content-disposition"),
        Some("inline; filename=\"Der Film.mp4\"; filename*=UTF-8''Der%20Film.mp4")
    );
    assert_eq!(
        front.get("/files/x", &[]).field("content-disposition"),
        None
    );
}

#[test]
fn types_come_from_the_name_then_from_the_content() {
    // Enough of a beginning for a signature to be believed.
    let mut webm = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm".to_vec();
    webm.resize(400, 0);
    let html = b"<!DOCTYPE html><html><script>alert(1)</script></html>";
    let front = Front::with(&[("w", &webm), ("t", b"just text"), ("e", b""), ("h", html)]);
    let kind = |path: &str| {
        front
            .get(path, &[])
            .field("content-type")
            .unwrap()
            .to_owned()
    };
    assert_eq!(kind("/files/w"), "video/webm");
    assert_eq!(kind("/files/w/x.unheardof"), "video/webm");
    assert_eq!(kind("/files/w/x.mp3"), "audio/mpeg");
    assert_eq!(kind("/files/t"), "application/octet-stream");
    assert_eq!(kind("/files/e"), "application/octet-stream");
    assert_eq!(kind("/files/h"), "application/octet-stream");
}

/// The tracker of these tests takes no request that would bind a user.
#[test]
fn a_user_without_a_group_has_no_files_and_gets_no_group() {
    let front = Front::with(&[("x", MP4)]);
    let path = "/files/tnvideo/nobody/x";
    for (method, field) in [
        ("GET", None),
        ("HEAD", None),
        ("GET", Some(("If-None-Match", "\"a\""))),
    ] {
        let fields: Vec<_> = field.into_iter().collect();
        let answer = front.connect().ask(method, path, &fields);
        assert_eq!(answer.status, 404, "{method} {field:?}");
    }
}

#[test]
fn an_empty_file_is_an_empty_answer() {
    let front = Front::with(&[("e", b"")]);
    let answer = front.get("/files/e", &[]);
    assert_eq!(
        (answer.status, answer.field("content-length")),
        (200, Some("0"))
    );
    for range in ["bytes=0-", "bytes=-5", "bytes=0-0", "bytes=3-4,-1"] {
        let answer = front.get("/files/e", &[("Range", range)]);
        let fields = (
            answer.field("content-length"),
            answer.field("content-range"),
        );
        assert_eq!((answer.status, fields), (200, (Some("0"), None)), "{range}");
    }
}

#[test]
fn head_is_get_less_the_body() {
    let front = Front::with(&[("x", MP4)]);
    // No method but GET has ranges (RFC 9110, 14.2).
    let requests: [&[(&str, &str)]; 5] = [
        &[],
        &[("Range", "bytes=1-3")],
        &[("Range", "bytes=1-3,7-8")],
        &[("Range", "bytes=99-")],
        &[("Range", "bytes=1-3"), ("If-Range", "\"other\"")],
    ];
    for fields in requests {
        let mut browser = front.connect();
        let strip = |mut answer: Answer| {
            answer.fields.retain(|(name, _)| name != "date");
            answer.body.clear();
            answer
        };
        let head = browser.ask("HEAD", "/files/x", fields);
        assert!(head.body.is_empty());
        assert_eq!(
            strip(head),
            strip(browser.ask("GET", "/files/x", &[])),
            "{fields:?}"
        );
    }
}

/// A cache takes the fields of a 304 over into the answer that it holds (RFC 9111, 3.2), which may be
/// of a time with other restrictions.
#[test]
fn all_answers_about_a_file_describe_it_alike() {
    const OF_CONTENT: [&str; 4] = ["date", "content-type", "content-length", "content-range"];
    let files: [(&str, &[u8]); 3] = [
        ("x", MP4),
        ("h", b"<script>alert(origin)</script>"),
        ("m", b"<?xml version=\"1.0\"?><MPD></MPD>"),
    ];
    let front = Front::with(&files);
    for path in [
        "/files/x",
        "/files/x/a.mp4",
        "/files/h",
        "/files/h/a.html",
        "/files/m/a.mpd",
    ] {
        let whole = front.get(path, &[]);
        let tag = whole.field("etag").unwrap().to_owned();
        let described = |mut answer: Answer| {
            let fields = &mut answer.fields;
            fields.retain(|(name, _)| !OF_CONTENT.contains(&name.as_str()));
            answer.fields
        };
        let expected = described(whole);
        for (method, field, status) in [
            ("HEAD", ("Range", ""), 200),
            ("GET", ("Range", "bytes=1-3"), 206),
            ("GET", ("Range", "bytes=1-3,7-8"), 206),
            ("GET", ("If-None-Match", &tag), 304),
            ("HEAD", ("If-None-Match", &tag), 304),
            ("GET", ("If-Modified-Since", LAST_MODIFIED), 304),
        ] {
            let answer = front.connect().ask(method, path, &[field]);
            assert_eq!(answer.status, status, "{method} {path} {field:?}");
            assert_eq!(described(answer), expected, "{method} {path} {field:?}");
        }
    }
}

#[test]
fn preconditions_are_weighed_in_order() {
    let front = Front::with(&[("x", MP4)]);
    let tag = front.get("/files/x", &[]).field("etag").unwrap().to_owned();
    let tag = tag.as_str();
    let earlier = "Sun, 13 Sep 2020 12:26:39 GMT";
    let weak = format!("W/{tag}");
    let cases: [(&[(&str, &str)], u16); 14] = [
        (&[("If-None-Match", tag)], 304),
        (&[("If-None-Match", &weak)], 304),
        (&[("If-None-Match", "\"other\", *")], 200),
        (&[("If-None-Match", "*")], 304),
        (&[("If-None-Match", "\"other\"")], 200),
        (&[("If-Modified-Since", LAST_MODIFIED)], 304),
        (&[("If-Modified-Since", earlier)], 200),
        (&[("If-Modified-Since", "rubbish")], 200),
        (
            &[
                ("If-None-Match", "\"other\""),
                ("If-Modified-Since", LAST_MODIFIED),
            ],
            200,
        ),
        (&[("If-Match", tag)], 200),
        (&[("If-Match", &weak)], 412),
        (&[("If-Match", "\"other\"")], 412),
        (&[("If-Unmodified-Since", earlier)], 412),
        (&[("If-Unmodified-Since", LAST_MODIFIED)], 200),
    ];
    for (fields, status) in cases {
        let answer = front.get("/files/x", fields);
        assert_eq!(answer.status, status, "{fields:?}");
        if status == 304 {
            assert_eq!(answer.field("etag"), Some(tag));
        }
    }
}

#[test]
fn what_is_not_there_is_plainly_not_found() {
    let front = Front::with(&[("x", MP4)]);
    let paths = [
        "/",
        "/files/y",
        "/files/badapp/u/x",
        "/files/a-b/u/x",
        "/files//",
        "/x%00y",
    ];
    for path in paths {
        let answer = front.get(path, &[]);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.body, b"not found\n");
    }
}

#[test]
fn other_methods_are_told_which_are_allowed() {
    let front = Front::with(&[("x", MP4)]);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let answer = front.connect().ask(method, "/files/x", &[]);
        assert_eq!(
            (answer.status, answer.field("allow")),
            (405, Some("GET, HEAD")),
            "{method}"
        );
    }
}

#[test]
fn one_connection_carries_any_mix_of_requests() {
    let front = Front::with(&[("x", MP4)]);
    let mut browser = front.connect();
    for _ in 0..5 {
        assert_eq!(browser.ask("GET", "/files/x", &[]).body, MP4);
        assert_eq!(browser.ask("HEAD", "/files/x", &[]).status, 200);
        assert_eq!(browser.ask("GET", "/files/y", &[]).status, 404);
        assert_eq!(browser.ask("POST", "/files/x", &[]).status, 405);
        assert_eq!(
            browser
                .ask("GET", "/files/x", &[("Range", "bytes=4-7")])
                .body,
            b"ftyp"
        );
    }
}
