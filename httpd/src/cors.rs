//! Pages of other origins that may read responses: the CORS protocol of browsers (Fetch standard, CORS protocol).

use base::config::ConfigError;
use base::units::Period;
use net::http::{Field, Method, Request, Response, status};
use serde::{Deserialize, Serialize};

/// Stands for every origin.
const ANY: &str = "*";

/// Section `[cors]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cors {
    /// Origins such as `https://example.org`, or [`ANY`] alone. Without one, CORS is off.
    pub origins: Origins,
    /// Header fields that a page may send.
    pub headers: Vec<String>,
    /// Header fields of a response that a page may read.
    pub expose: Vec<String>,
    /// How long a browser remembers the response to a preflight.
    pub max_age: Period,
}

/// A list of origins. A single one needs no list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "OneOrMany", into = "Vec<String>")]
pub struct Origins(Vec<String>);

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "must be a list of origins such as \"https://example.org\", or \"*\""
)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Origins {
    /// The origins as text; absent if CORS is off.
    pub(crate) fn as_list(&self) -> Option<String> {
        let Origins(origins) = self;
        (!origins.is_empty()).then(|| origins.join(", "))
    }
}

impl From<OneOrMany> for Origins {
    fn from(origins: OneOrMany) -> Origins {
        match origins {
            OneOrMany::One(origin) => Origins(vec![origin]),
            OneOrMany::Many(origins) => Origins(origins),
        }
    }
}

impl From<Origins> for Vec<String> {
    fn from(Origins(origins): Origins) -> Vec<String> {
        origins
    }
}

impl Default for Cors {
    fn default() -> Cors {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Cors {
            origins: Origins::default(),
            headers: list(&[
                "Range",
                "If-Range",
                "If-Match",
                "If-None-Match",
                "If-Modified-Since",
                "If-Unmodified-Since",
            ]),
            expose: list(&["Content-Length", "Content-Range", "Accept-Ranges", "ETag"]),
            max_age: Period::from_secs(24 * 3600),
        }
    }
}

impl Cors {
    /// The fields of every response. With a list of origins the response depends on the origin, so caches
    /// need Vary on all responses, also on those to requests without an origin.
    pub(crate) fn common_fields(&self, origin: Option<&str>) -> Vec<Field> {
        let mut fields = Vec::new();
        if self.is_list() {
            fields.push(("Vary", "Origin".into()));
        }
        if let Some(allowed) = self.allowed(origin) {
            fields.push(("Access-Control-Allow-Origin", allowed.to_owned().into()));
            if !self.expose.is_empty() {
                fields.push((
                    "Access-Control-Expose-Headers",
                    self.expose.join(", ").into(),
                ));
            }
        }
        fields
    }

    /// The response to a preflight, which asks for the permission to send another request. `None` for all
    /// other requests. The file and its signature do not matter: a browser sends a preflight without
    /// knowing them, and the actual request is checked.
    pub(crate) fn preflight(&self, request: &Request) -> Option<Response> {
        let asks = request.method == Method::Options
            && request.header("access-control-request-method").is_some();
        let origin = request.header("origin").filter(|_| asks)?;
        if self.origins.0.is_empty() {
            return None;
        }
        let response = Response::empty(status::OK);
        if self.allowed(Some(origin)).is_none() {
            return Some(response);
        }
        let response = response
            .with("Access-Control-Allow-Methods", "GET, HEAD")
            .with(
                "Access-Control-Max-Age",
                self.max_age.duration().as_secs().to_string(),
            );
        Some(match self.headers.is_empty() {
            true => response,
            false => response.with("Access-Control-Allow-Headers", self.headers.join(", ")),
        })
    }

    /// The value that allows the origin of a request.
    fn allowed(&self, origin: Option<&str>) -> Option<&str> {
        let Origins(origins) = &self.origins;
        let matches = |listed: &&String| *listed == ANY || Some(listed.as_str()) == origin;
        origins.iter().find(matches).map(String::as_str)
    }

    fn is_list(&self) -> bool {
        let Origins(origins) = &self.origins;
        !origins.is_empty() && *origins != [ANY]
    }

    /// # Errors
    /// An origin that no browser sends, or an invalid name of a header field.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let Origins(origins) = &self.origins;
        for origin in origins.iter().filter(|_| self.is_list()) {
            check_origin(origin).map_err(|reason| {
                ConfigError::invalid("cors.origins", format!("{origin:?}: {reason}"))
            })?;
        }
        for (key, names) in [
            ("cors.headers", &self.headers),
            ("cors.expose", &self.expose),
        ] {
            if let Some(name) = names.iter().find(|name| !is_token(name)) {
                let reason = format!("{name:?} is not the name of a header field");
                return Err(ConfigError::invalid(key, reason));
            }
        }
        Ok(())
    }
}

/// Refuses an origin that differs from how a browser writes it (RFC 6454, 6.2): it would never match.
fn check_origin(origin: &str) -> Result<(), &'static str> {
    if origin == ANY {
        return Err("stands for every origin, so it must be alone");
    }
    if origin == "null" {
        return Err("is the origin of every page without one; \"*\" serves these, too");
    }
    let form = "must be SCHEME://HOST or SCHEME://HOST:PORT, without a path and a slash at the end";
    let (scheme, authority) = origin.split_once("://").ok_or(form)?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if origin.contains('*') {
        return Err("has a *: each origin is listed in full");
    }
    if !origin.is_ascii() || origin.contains(|c: char| c.is_ascii_uppercase()) {
        return Err("must be in lower case, and a name with other letters as xn--...");
    }
    if !is_scheme(scheme) || !is_host(host) {
        return Err(form);
    }
    match (scheme, port) {
        (_, None) => Ok(()),
        ("http", Some("80")) | ("https", Some("443")) => {
            Err("has the port of its scheme, which browsers leave out")
        }
        (_, Some(port)) => {
            let is_canonical = port.parse::<u16>().is_ok_and(|n| n.to_string() == port);
            is_canonical.then_some(()).ok_or("has no valid port")
        }
    }
}

fn is_scheme(scheme: &str) -> bool {
    let is_start = scheme.starts_with(|c: char| c.is_ascii_lowercase());
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    is_start && scheme.chars().all(is_part)
}

fn is_host(host: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(is_name),
    }
}

/// RFC 9110, 5.6.2. `*` is a token, which stands for all fields.
fn is_token(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(origins: &[&str]) -> Cors {
        let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        Cors {
            origins: Origins(origins),
            ..Cors::default()
        }
    }

    #[test]
    fn a_listed_origin_is_echoed_and_every_response_varies() {
        let cors = of(&["https://a.example", "https://b.example:8443"]);
        let vary = ("Vary", "Origin".into());
        for other in [
            None,
            Some(""),
            Some("null"),
            Some("https://c.example"),
            Some("https://a.example.evil"),
            Some("http://a.example"),
            Some("https://b.example"),
        ] {
            assert_eq!(
                cors.common_fields(other),
                std::slice::from_ref(&vary),
                "{other:?}"
            );
        }
        let allowed = cors.common_fields(Some("https://b.example:8443"));
        let exposed = "Content-Length, Content-Range, Accept-Ranges, ETag";
        assert_eq!(
            allowed,
            [
                vary,
                (
                    "Access-Control-Allow-Origin",
                    "https://b.example:8443".into()
                ),
                ("Access-Control-Expose-Headers", exposed.into()),
            ]
        );
    }

    #[test]
    fn every_origin_is_allowed_without_vary() {
        for origin in [None, Some("https://a.example"), Some("null")] {
            let fields = of(&["*"]).common_fields(origin);
            assert_eq!(
                fields[0],
                ("Access-Control-Allow-Origin", "*".into()),
                "{origin:?}"
            );
            assert!(fields.iter().all(|(name, _)| *name != "Vary"), "{fields:?}");
        }
        assert!(
            Cors::default()
                .common_fields(Some("https://a.example"))
                .is_empty()
        );
    }

    #[test]
    fn only_origins_that_a_browser_sends_are_taken() {
        for origin in [
            "https://example.org",
            "http://example.org:8080",
            "http://[::1]:3000",
            "http://[::1]",
            "https://xn--mnchen-3ya.example",
            "capacitor://localhost",
            "https://example.org:80",
        ] {
            assert_eq!(check_origin(origin), Ok(()), "{origin}");
        }
        for origin in [
            "",
            "*",
            "null",
            "example.org",
            "https://",
            "https://example.org/",
            "https://example.org/path",
            "https://*.example.org",
            "https://Example.org",
            "https://m\u{fc}nchen.example",
            "https://user@example.org",
            "https://example.org:443",
            "http://example.org:80",
            "http://example.org:",
            "http://example.org:080",
            "http://example.org:99999",
            "http://a b",
            "http://[::1",
            "://example.org",
            "https://a, https://b",
        ] {
            assert!(check_origin(origin).is_err(), "{origin}");
            let error = of(&["https://a.example", origin]).check().unwrap_err();
            assert!(error.to_string().contains("cors.origins"), "{error}");
        }
        assert!(of(&["*"]).check().is_ok());
    }

    #[test]
    fn names_of_fields_are_checked() {
        let mut cors = of(&["*"]);
        cors.headers = vec!["*".into(), "CMCD-Request".to_owned()];
        assert!(cors.check().is_ok());
        cors.expose = vec!["ETag, Date".to_owned()];
        let error = cors.check().unwrap_err();
        assert!(error.to_string().contains("cors.expose"), "{error}");
    }
}
