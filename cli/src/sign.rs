//! `tnv sign`: signed URLs of an HTTP server (docs/protocol.md, Signed URLs).

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::KeyRing;
use proto::url_signature::Grant;
use serde::Serialize;

use super::args::SignArgs;
use super::context::Context;
use super::exit::CliError;

#[derive(Serialize)]
struct SignedUrl<'a> {
    url: &'a str,
    /// Seconds since the epoch.
    expires: u64,
}

pub(super) fn run(context: &Context, args: &SignArgs) -> anyhow::Result<()> {
    let file = args.url_key_file.as_deref();
    let keys = keys(file.or(context.settings.url_key_file.as_deref()))?;
    let (host, path) = split_host(&args.path);
    let expires = expiry(SystemTime::now(), args.time);
    let grant = Grant {
        expires,
        folder_depth: folder_depth(args.prefix, path)?,
        client: args.ip,
        method: args.method.clone(),
    };
    let url = grant.sign(keys.signing(), path).ok_or_else(|| {
        let text = format!(
            "{:?} is no path that can be signed: it begins with / and has no . or ..",
            args.path
        );
        CliError::usage(text)
    })?;
    let url = format!("{host}{url}");
    context
        .output
        .result(&SignedUrl { url: &url, expires }, &url)
}

fn keys(file: Option<&Path>) -> Result<KeyRing, CliError> {
    let file = file.ok_or_else(|| {
        CliError::usage(
            "no key is given: use --url-key-file or `url_key_file` in the settings file",
        )
    })?;
    client::read_keys(file)
        .map_err(|error| CliError::usage(format!("key file {}: {error}", file.display())))
}

/// Splits a URL into scheme and host, which may be absent, and the path.
fn split_host(url: &str) -> (&str, &str) {
    let host = url.find("://").map(|at| at + 3);
    let start = host.and_then(|host| url[host..].find('/').map(|at| host + at));
    url.split_at(start.unwrap_or(0))
}

/// The number of segments of a signed folder.
fn folder_depth(is_folder: bool, path: &str) -> Result<Option<u8>, CliError> {
    if !is_folder {
        return Ok(None);
    }
    if !path.ends_with('/') {
        return Err(CliError::usage("the path of a folder ends with a slash"));
    }
    let depth = path.matches('/').count() - 1;
    match u8::try_from(depth) {
        Ok(depth @ 1..=99) => Ok(Some(depth)),
        _ => Err(CliError::usage("a folder to sign has 1 to 99 segments")),
    }
}

fn expiry(now: SystemTime, time: Duration) -> u64 {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_add(time).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_its_host() {
        for (url, expected) in [
            ("/files/x", ("", "/files/x")),
            (
                "https://media.example/files/x",
                ("https://media.example", "/files/x"),
            ),
            ("https://media.example", ("", "https://media.example")),
            ("files/x", ("", "files/x")),
        ] {
            assert_eq!(split_host(url), expected, "{url}");
        }
    }

    #[test]
    fn the_segments_of_a_folder_are_counted() {
        assert_eq!(folder_depth(false, "/files/x").unwrap(), None);
        assert_eq!(
            folder_depth(true, "/media/app/user/film/").unwrap(),
            Some(4)
        );
        for path in ["/", "/media/app"] {
            assert!(folder_depth(true, path).is_err(), "{path}");
        }
    }
}
