//! Files that need a signed URL, and the check of signatures (docs/protocol.md, Signed URLs).

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use net::http::{Method, Request, Response, status};
use proto::FileKey;
use proto::shared_key::KeyRing;
use proto::url_signature::{self, Refusal, SignedRequest, Token};
use serde::{Deserialize, Serialize};

/// Files that need a signed URL: `*`, or the beginning of `APP/USER/ID`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Protected(String);

/// The signatures that an httpd demands and accepts.
#[derive(Debug, Default)]
pub(crate) struct Protection {
    keys: Option<KeyRing>,
    protected: Vec<Protected>,
}

/// The path of a request, and its signature.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SignedPath<'a> {
    /// The path without the signature.
    pub(crate) path: &'a str,
    /// The end of a valid signature; absent without one.
    pub(crate) expiry: Option<Expiry>,
}

/// The end of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expiry(u64);

impl Expiry {
    /// Seconds until then.
    pub(crate) fn seconds_left(self) -> u64 {
        let Expiry(end) = self;
        end.saturating_sub(now())
    }
}

impl Protected {
    /// The text of the setting.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn has(&self, key: &FileKey) -> bool {
        let Protected(beginning) = self;
        let key = key.to_string();
        let rest = key.strip_prefix(beginning.as_str());
        let is_whole = |rest: &str| rest.is_empty() || rest.starts_with('/');
        beginning == "*" || rest.is_some_and(|rest| beginning.ends_with('/') || is_whole(rest))
    }
}

impl Protection {
    pub(crate) fn new(keys: Option<KeyRing>, protected: Vec<Protected>) -> Protection {
        Protection { keys, protected }
    }

    /// Removes the signature from the path of a request and checks it. A path without a signature stays as it
    /// is.
    ///
    /// # Errors
    /// The refusal of an expired or wrong signature.
    pub(crate) fn open<'a>(
        &self,
        request: &'a Request,
        client: IpAddr,
    ) -> Result<SignedPath<'a>, Response> {
        let path = request.path();
        let Some((token, path)) = url_signature::split(path) else {
            let expiry = None;
            return Ok(SignedPath { path, expiry });
        };
        let expiry = self
            .verify(token, path, &request.method, client)
            .map_err(|refusal| refuse(&refusal.to_string()))?;
        let expiry = Some(expiry);
        Ok(SignedPath { path, expiry })
    }

    fn verify(
        &self,
        token: &str,
        path: &str,
        method: &Method,
        client: IpAddr,
    ) -> Result<Expiry, Refusal> {
        let keys = self.keys.as_ref().ok_or(Refusal::Wrong)?;
        let request = SignedRequest {
            path,
            method: method.as_str(),
            client,
        };
        let token: Token = token.parse()?;
        token.verify(keys, request, now())?;
        Ok(Expiry(token.expires()))
    }

    /// Refuses a file that needs a signed URL.
    ///
    /// # Errors
    /// The refusal of a request without a signature.
    pub(crate) fn check(&self, path: &SignedPath<'_>, key: &FileKey) -> Result<(), Response> {
        let is_open = path.expiry.is_some() || !self.protected.iter().any(|files| files.has(key));
        is_open.then_some(()).ok_or_else(|| refuse("missing"))
    }
}

/// Seconds until a second since the epoch; 0 if it has passed.
pub(crate) fn seconds_until(second: i64) -> u64 {
    u64::try_from(second).unwrap_or(0).saturating_sub(now())
}

/// 403 with the reason as the last word.
fn refuse(reason: &str) -> Response {
    Response::text(status::FORBIDDEN, &format!("signature {reason}"))
}

/// Seconds since the epoch.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protected_files_are_named_by_the_beginning_of_their_key() {
        let key = FileKey {
            app: "video".parse().unwrap(),
            user: "alice".parse().unwrap(),
            file: "film/index.m3u8".parse().unwrap(),
        };
        for beginning in [
            "*",
            "video",
            "video/",
            "video/alice",
            "video/alice/film",
            "video/alice/film/",
            "video/alice/film/index.m3u8",
        ] {
            assert!(Protected(beginning.to_owned()).has(&key), "{beginning}");
        }
        for beginning in [
            "",
            "vid",
            "video/al",
            "video/bob",
            "video/alice/film/2",
            "alice",
        ] {
            assert!(!Protected(beginning.to_owned()).has(&key), "{beginning}");
        }
    }
}
