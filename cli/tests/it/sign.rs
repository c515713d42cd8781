//! `tnv sign`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use proto::shared_key::KeyRing;
use proto::url_signature::{SignedRequest, Token, split};
use tempfile::TempDir;

use crate::support::{code, stderr, stdout, tnv};

const KEY: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn a_path_is_signed_with_the_key_of_the_settings() {
    let dir = TempDir::new().unwrap();
    let key = dir.path().join("url-key");
    fs::write(&key, KEY).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let settings = dir.path().join("tnv.toml");
    fs::write(&settings, format!("url_key_file = {key:?}\n")).unwrap();
    let run = |args: &[&str]| {
        let mut command = tnv(dir.path(), "127.0.0.1:1", args);
        command.env("TNV_CONFIG", &settings).output().unwrap()
    };
    let path = "/files/tnvideo/alice/film";
    let output = run(&[
        "sign",
        &format!("https://media.example{path}"),
        "--for",
        "2h",
    ]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let url = stdout(&output);
    let url = url
        .trim_end()
        .strip_prefix("https://media.example")
        .unwrap();
    let (token, signed) = split(url).unwrap();
    assert_eq!(signed, path);
    let token: Token = token.parse().unwrap();
    let request = SignedRequest {
        path,
        method: "GET",
        client: "::1".parse().unwrap(),
    };
    token
        .verify(&KeyRing::parse(KEY).unwrap(), request, 0)
        .unwrap();

    let folder = run(&[
        "--json",
        "sign",
        "/media/app/alice/film/",
        "--prefix",
        "--ip",
        "::1",
    ]);
    assert!(stdout(&folder).contains(".p4-ip."), "{}", stdout(&folder));
    for (args, word) in [
        (&["sign", "film"][..], "no path"),
        (&["sign", "/media/film", "--prefix"][..], "slash"),
        (
            &["sign", path, "--url-key-file", "/nonexistent"][..],
            "/nonexistent",
        ),
    ] {
        let output = run(args);
        assert_eq!(code(&output), 2, "{args:?}");
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
    }
}
