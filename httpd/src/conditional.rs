//! Preconditions (RFC 9110, 13).

use std::time::{Duration, SystemTime};

use net::http::Request;

use crate::entity::Entity;

/// What the preconditions of a request come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Weighs the preconditions in the order of RFC 9110, 13.2.2.
pub(crate) fn judge(request: &Request, entity: &Entity) -> Verdict {
    let tag = entity.tag.as_deref();
    let modified = entity.modified;
    if let Some(wanted) = request.header("if-match") {
        if !any_matches(wanted, tag, strongly) {
            return Verdict::Failed;
        }
    } else if let (Some(since), Some(modified)) = (date(request, "if-unmodified-since"), modified)
        && modified > since
    {
        return Verdict::Failed;
    }
    if let Some(known) = request.header("if-none-match") {
        if any_matches(known, tag, weakly) {
            return Verdict::NotModified;
        }
    } else if let (Some(since), Some(modified)) = (date(request, "if-modified-since"), modified)
        && modified <= since
    {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

/// Whether what is answered depends on the file's validators.
pub(crate) fn is_conditional(request: &Request) -> bool {
    const FIELDS: [&str; 5] = [
        "if-match",
        "if-unmodified-since",
        "if-none-match",
        "if-modified-since",
        "if-range",
    ];
    FIELDS.iter().any(|name| request.header(name).is_some())
}

/// Whether a Range field counts: If-Range must name just this content (RFC 9110, 13.1.5).
pub(crate) fn range_counts(request: &Request, entity: &Entity) -> bool {
    match request.header("if-range") {
        None => true,
        Some(tag) if tag.contains('"') => entity
            .tag
            .as_deref()
            .is_some_and(|ours| strongly(tag.trim(), ours)),
        // A date counts only as a strong validator: our times have whole seconds, so it is one
        // when the content is older than the second it is asked for in.
        Some(text) => match (httpdate::parse_http_date(text), entity.modified) {
            (Ok(date), Some(modified)) => {
                date == modified && modified + Duration::from_secs(1) < SystemTime::now()
            }
            _ => false,
        },
    }
}

fn date(request: &Request, name: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(request.header(name)?).ok()
}

/// Whether a list of entity tags, or `*`, holds ours.
fn any_matches(list: &str, ours: Option<&str>, same: fn(&str, &str) -> bool) -> bool {
    if list.trim() == "*" {
        return true;
    }
    // Our tags have no comma in them, so that a foreign one that has is just no match.
    ours.is_some_and(|ours| list.split(',').any(|tag| same(tag.trim(), ours)))
}

fn strongly(tag: &str, ours: &str) -> bool {
    tag == ours && !ours.starts_with("W/")
}

fn weakly(tag: &str, ours: &str) -> bool {
    tag.trim_start_matches("W/") == ours.trim_start_matches("W/")
}
