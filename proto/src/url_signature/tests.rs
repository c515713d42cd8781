use super::*;

const KEY: &str = "0123456789abcdef0123456789abcdef";
const END: u64 = 1_800_000_000;

fn ring(keys: &str) -> KeyRing {
    KeyRing::parse(keys).unwrap()
}

fn grant(folder: Option<u8>, client: Option<&str>, method: &str) -> Grant {
    Grant {
        folder_depth: folder,
        client: client.map(|ip| ip.parse().unwrap()),
        method: method.to_owned(),
        ..Grant::read(END)
    }
}

fn request<'a>(path: &'a str, method: &'a str, client: &str) -> SignedRequest<'a> {
    SignedRequest {
        path,
        method,
        client: client.parse().unwrap(),
    }
}

/// Verifies the path of a signed URL.
fn verify(url: &str, method: &str, client: &str, now: u64) -> Result<(), Refusal> {
    let (token, path) = split(url).ok_or(Refusal::Wrong)?;
    let token: Token = token.parse()?;
    token.verify(&ring(KEY), request(path, method, client), now)
}

struct Vector {
    folder: Option<u8>,
    client: Option<&'static str>,
    method: &'static str,
    path: &'static str,
    token: &'static str,
}

/// The vectors of docs/protocol.md, computed by another program.
const VECTORS: [Vector; 4] = [
    Vector {
        folder: None,
        client: None,
        method: "GET",
        path: "/files/tnvideo/alice/film",
        token: "/s/1800000000.3rUmGwNhlqmtVhNjOQx68HT1k5f-iuKWUGbeEr6jG6A",
    },
    Vector {
        folder: Some(4),
        client: None,
        method: "GET",
        path: "/media/tnvideo/alice/film/index.m3u8",
        token: "/s/1800000000.p4.YGUlhnDRSsoffQGcp5OQ2BNFVBiOaGM3ZhUVgr5j6b4",
    },
    Vector {
        folder: None,
        client: Some("192.0.2.7"),
        method: "GET",
        path: "/files/tnvideo/alice/用%201",
        token: "/s/1800000000.ip.qkbHq5hS3lz37KwEtZJ2D1SDNYDeWvLH2jvknZ39X4E",
    },
    Vector {
        folder: Some(3),
        client: Some("2001:db8::1"),
        method: "PUT",
        path: "/media/tnvideo/b%2Fc/new.mp4",
        token: "/s/1800000000.p3-ip-put.7QHMT_Bw5O4P40qKHUzBZTgv4wWelYmsM3AkhQ29d7c",
    },
];

#[test]
fn urls_are_signed_as_documented() {
    for vector in VECTORS {
        let Vector {
            folder,
            client,
            method,
            path,
            token,
        } = vector;
        let url = grant(folder, client, method)
            .sign(ring(KEY).signing(), path)
            .unwrap();
        assert_eq!(url, format!("{token}{path}"));
        let client = client.unwrap_or("198.51.100.1");
        assert_eq!(verify(&url, method, client, END - 1), Ok(()), "{url}");
        assert_eq!(
            verify(&url, method, client, END),
            Err(Refusal::Expired),
            "{url}"
        );
    }
}

#[test]
fn a_signature_holds_for_its_path_method_and_client_only() {
    let sign = |grant: Grant, path| grant.sign(ring(KEY).signing(), path).unwrap();
    let file = sign(grant(None, None, "GET"), "/files/a/u/x");
    let folder = sign(grant(Some(4), None, "GET"), "/media/a/u/film/");
    let mine = sign(grant(None, Some("192.0.2.7"), "GET"), "/files/a/u/x");
    let put = sign(grant(None, None, "PUT"), "/media/a/u/x");
    let is = |url: String, method, client| verify(&url, method, client, 0) == Ok(());
    let me = "192.0.2.7";
    assert!(is(file.clone(), "HEAD", me) && is(put.clone(), "PUT", me));
    assert!(is(mine.clone(), "GET", "::ffff:192.0.2.7"));
    assert!(is(format!("{folder}index.m3u8"), "GET", me));
    assert!(is(format!("{folder}720p/1.ts"), "GET", me));
    // The same path in another encoding.
    assert!(is(file.replace("files/a", "%66iles/%61"), "GET", me));
    for (url, method, client) in [
        (file.replace("/x", "/y"), "GET", me),
        (file.replace("/files/a/u/x", "/files/a/u/x/name"), "GET", me),
        (file.replace("/a/u/", "/a%2Fu/"), "GET", me),
        (file.clone(), "PUT", me),
        (file.replace("1800000000", "1800000001"), "GET", me),
        (put.clone(), "GET", me),
        (put, "HEAD", me),
        (mine.clone(), "GET", "192.0.2.8"),
        (mine.replace(".ip.", "."), "GET", me),
        (folder.replace("film/", "film"), "GET", me),
        (folder.replace("film/", "films/x"), "GET", me),
        (folder.replace("film/", "film/../x"), "GET", me),
        (folder.replace("film/", "film/%2e%2e/x"), "GET", me),
        (folder.replace(".p4.", ".p3."), "GET", me),
        (folder.replace(".p4.", "."), "GET", me),
    ] {
        let refused = verify(&url, method, client, 0);
        assert_eq!(refused, Err(Refusal::Wrong), "{method} {url} {client}");
    }
}

#[test]
fn every_key_of_the_ring_verifies_and_the_first_one_signs() {
    let old = "an old key, 1234".replace([' ', ','], "_");
    let url = grant(None, None, "GET").sign(ring(&old).signing(), "/files/x");
    let url = url.unwrap();
    let (token, path) = split(&url).unwrap();
    let token: Token = token.parse().unwrap();
    let verify = |keys: &str| token.verify(&ring(keys), request(path, "GET", "::1"), 0);
    assert_eq!(verify(&format!("{KEY}\n{old}")), Ok(()));
    assert_eq!(verify(KEY), Err(Refusal::Wrong));
}

#[test]
fn malformed_tokens_are_wrong() {
    let good = VECTORS[0].token.strip_prefix(SIGNED_PREFIX).unwrap();
    assert_eq!(good.parse::<Token>().unwrap().to_string(), good);
    let signature = good.split_once('.').unwrap().1;
    for text in [
        "".to_owned(),
        ".".to_owned(),
        signature.to_owned(),
        format!("+1.{signature}"),
        format!("-1.{signature}"),
        format!("99999999999999999999.{signature}"),
        format!("1..{signature}"),
        format!("1.p0.{signature}"),
        format!("1.p04.{signature}"),
        format!("1.p100.{signature}"),
        format!("1.ip-p4.{signature}"),
        format!("1.ip-GET.{signature}"),
        format!("1.put-put.{signature}"),
        format!("1.p4.ip.{signature}"),
        format!("1.{}", &signature[1..]),
        format!("1.{signature}="),
        format!("1.{}", signature.replacen(['-', '_'], "+", 1)),
    ] {
        assert_eq!(text.parse::<Token>(), Err(Refusal::Wrong), "{text}");
    }
}

#[test]
fn only_paths_below_the_root_are_signed() {
    let key = ring(KEY);
    let sign = |grant: Grant, path: &str| grant.sign(key.signing(), path);
    for path in ["", "files/x", "/files/../x", "/files/%2E/x", "/%FF"] {
        assert_eq!(sign(grant(None, None, "GET"), path), None, "{path}");
    }
    assert_eq!(sign(grant(Some(3), None, "GET"), "/a/b/c"), None);
    assert!(sign(grant(Some(3), None, "GET"), "/a/b/c/").is_some());
}
