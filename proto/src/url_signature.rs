//! Signed URLs: `/s/EXPIRES.SIGNATURE/PATH`, or `/s/EXPIRES.LIMITS.SIGNATURE/PATH`
//! (docs/protocol.md, Signed URLs). The signature is a folder of the path, so relative links of a signed
//! playlist stay signed.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::shared_key::{KeyRing, SharedKey, Signature};

/// The folder of signed URLs.
pub const SIGNED_PREFIX: &str = "/s/";

/// Most segments of a signed folder.
const DEPTH_MAX: u8 = 99;
/// The bytes that a canonical segment encodes: all but the unreserved ones (RFC 3986, 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The limits of a signed URL: its path, client, method and end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Seconds since the epoch at which the URL expires.
    pub expires: u64,
    /// Number of segments of the folder that is signed with everything below it. Absent for the path alone.
    pub folder_depth: Option<u8>,
    /// The only client that may use it.
    pub client: Option<IpAddr>,
    /// The method, in upper case. GET allows HEAD, too.
    pub method: String,
}

/// The folder `EXPIRES.LIMITS.SIGNATURE` of a signed URL.
#[derive(Debug, PartialEq, Eq)]
pub struct Token {
    expires: u64,
    limits: Limits,
    signature: Signature,
}

/// The request for a signed URL.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    /// The path behind the token, percent-encoded, without the query.
    pub path: &'a str,
    /// The method, in upper case.
    pub method: &'a str,
    /// The address of the client.
    pub client: IpAddr,
}

/// Why a signed URL is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The time is over.
    #[error("expired")]
    Expired,
    /// No key verifies the signature for this path, client and method.
    #[error("wrong")]
    Wrong,
}

/// The limits of a token, in this order and separated by `-`: `pN`, `ip`, a method in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Limits {
    folder: Option<u8>,
    is_for_client: bool,
    method: Option<String>,
}

impl Grant {
    /// A grant to read one path until `expires`, seconds since the epoch.
    pub fn read(expires: u64) -> Grant {
        Grant {
            expires,
            folder_depth: None,
            client: None,
            method: "GET".to_owned(),
        }
    }

    /// The signed form of a path, which may be the path of a folder. The path keeps its encoding. `None` if the
    /// path does not begin with `/`, has a segment `.` or `..`, or has fewer segments than [`Grant::folder_depth`].
    pub fn sign(&self, key: &SharedKey, path: &str) -> Option<String> {
        let limits = Limits {
            folder: self.folder_depth,
            is_for_client: self.client.is_some(),
            method: (self.method != "GET").then(|| self.method.to_ascii_lowercase()),
        };
        let signed = signed_path(path, self.folder_depth)?;
        let text = signed_text(self.expires, &limits, &signed, self.client);
        let signature = key.sign(&[text.as_bytes()]);
        let token = Token {
            expires: self.expires,
            limits,
            signature,
        };
        let relative = path.strip_prefix('/')?;
        Some(format!("{SIGNED_PREFIX}{token}/{relative}"))
    }
}

impl Token {
    /// Seconds since the epoch at which the URL expires.
    pub fn expires(&self) -> u64 {
        self.expires
    }

    /// Checks that a key of the ring signed this request, and that `now`, seconds since the epoch, is before the
    /// end.
    ///
    /// # Errors
    /// It is wrong or expired. An unsigned URL is wrong even if it is expired, so a forger learns nothing.
    pub fn verify(
        &self,
        keys: &KeyRing,
        request: SignedRequest<'_>,
        now: u64,
    ) -> Result<(), Refusal> {
        let signed = signed_path(request.path, self.limits.folder).ok_or(Refusal::Wrong)?;
        let client = self.limits.is_for_client.then_some(request.client);
        let text = signed_text(self.expires, &self.limits, &signed, client);
        let is_signed_with = |key: &SharedKey| key.verifies(&[text.as_bytes()], &self.signature);
        if !self.limits.allow(request.method) || !keys.keys().iter().any(is_signed_with) {
            return Err(Refusal::Wrong);
        }
        if now >= self.expires {
            return Err(Refusal::Expired);
        }
        Ok(())
    }
}

impl Limits {
    fn method(&self) -> String {
        self.method
            .as_deref()
            .map_or("GET".to_owned(), str::to_ascii_uppercase)
    }

    fn allow(&self, method: &str) -> bool {
        let allowed = self.method();
        method == allowed || (method == "HEAD" && allowed == "GET")
    }
}

/// Splits the path of a signed URL into its token and the path behind it, which begins with `/`. `None` if it
/// is no signed URL.
pub fn split(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix(SIGNED_PREFIX)?;
    let end = rest.find('/')?;
    Some(rest.split_at(end))
}

/// The text that is signed: one fact per line.
fn signed_text(expires: u64, limits: &Limits, path: &str, client: Option<IpAddr>) -> String {
    let client = client.map_or(String::new(), |ip| ip.to_canonical().to_string());
    format!("tnv url 1\n{expires}\n{limits}\n{client}\n{path}")
}

/// The part of a path that a signature covers, in canonical encoding: all of it, or its first `folder` segments
/// and a slash. `None` if it is invalid or not below such a folder.
fn signed_path(path: &str, folder: Option<u8>) -> Option<String> {
    let segments: Vec<String> = path
        .strip_prefix('/')?
        .split('/')
        .map(canonical_segment)
        .collect::<Option<_>>()?;
    let Some(depth) = folder.map(usize::from) else {
        return Some(format!("/{}", segments.join("/")));
    };
    let is_below = depth >= 1 && segments.len() > depth;
    is_below.then(|| format!("/{}/", segments[..depth].join("/")))
}

/// Encodes all bytes of a segment except the unreserved ones. `None` for `.` and `..`, which clients
/// resolve.
fn canonical_segment(segment: &str) -> Option<String> {
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    let is_name = !matches!(&*decoded, "." | "..");
    is_name.then(|| utf8_percent_encode(&decoded, ENCODED).to_string())
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.expires)?;
        if self.limits != Limits::default() {
            write!(f, "{}.", self.limits)?;
        }
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.signature))
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder.map(|depth| format!("p{depth}"));
        let client = self.is_for_client.then(|| "ip".to_owned());
        let limits = [folder, client, self.method.clone()];
        let limits: Vec<String> = limits.into_iter().flatten().collect();
        f.write_str(&limits.join("-"))
    }
}

impl FromStr for Token {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Token, Refusal> {
        let parts: Vec<&str> = text.split('.').collect();
        let (expires, limits, signature) = match parts[..] {
            [expires, signature] => (expires, Limits::default(), signature),
            [expires, limits, signature] => (expires, limits.parse()?, signature),
            _ => return Err(Refusal::Wrong),
        };
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok();
        let signature = signature.and_then(|bytes| bytes.try_into().ok());
        let is_number = expires.bytes().all(|byte| byte.is_ascii_digit());
        let expires = expires.parse().ok().filter(|_| is_number);
        Ok(Token {
            expires: expires.ok_or(Refusal::Wrong)?,
            limits,
            signature: signature.ok_or(Refusal::Wrong)?,
        })
    }
}

impl FromStr for Limits {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Limits, Refusal> {
        let mut limits = Limits::default();
        let mut words = text.split('-').peekable();
        if let Some(depth) = words.peek().and_then(|word| word.strip_prefix('p'))
            && let Ok(depth @ 1..=DEPTH_MAX) = depth.parse()
        {
            limits.folder = Some(depth);
            words.next();
        }
        limits.is_for_client = words.next_if_eq(&"ip").is_some();
        limits.method = words.next().map(str::to_owned);
        let is_word =
            |word: &String| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
        // Each set of limits has one spelling.
        let is_canonical = words.next().is_none()
            && limits.method.iter().all(is_word)
            && limits.to_string() == text;
        is_canonical.then_some(limits).ok_or(Refusal::Wrong)
    }
}

#[cfg(test)]
mod tests;
