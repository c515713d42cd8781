//! Preconditions of a request (RFC 9110, 13).

use std::time::{Duration, SystemTime};

use net::http::Request;

use crate::entity::Entity;

/// The result of a request's preconditions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// The request is executed.
    Met,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Evaluates the preconditions in the order of RFC 9110, 13.2.2.
pub(crate) fn evaluate(request: &Request, entity: &Entity) -> Precondition {
    let tag = entity.tag.as_deref();
    let modified = entity.modified;
    if let Some(wanted) = request.header("if-match") {
        if !any_matches(wanted, tag, strongly) {
            return Precondition::Failed;
        }
    } else if let (Some(since), Some(modified)) = (date(request, "if-unmodified-since"), modified)
        && modified > since
    {
        return Precondition::Failed;
    }
    if let Some(known) = request.header("if-none-match") {
        if any_matches(known, tag, weakly) {
            return Precondition::NotModified;
        }
    } else if let (Some(since), Some(modified)) = (date(request, "if-modified-since"), modified)
        && modified <= since
    {
        return Precondition::NotModified;
    }
    Precondition::Met
}

/// True if the response depends on the file's validators.
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

/// True if the Range field applies: If-Range must identify this content (RFC 9110, 13.1.5).
pub(crate) fn range_applies(request: &Request, entity: &Entity) -> bool {
    match request.header("if-range") {
        None => true,
        Some(tag) if tag.contains('"') => entity
            .tag
            .as_deref()
            .is_some_and(|ours| strongly(tag.trim(), ours)),
        // A date must be a strong validator. Times have whole seconds, so it is one if the file is
        // at least a second old.
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

/// True if a list of entity tags, or `*`, contains `ours`.
fn any_matches(list: &str, ours: Option<&str>, same: fn(&str, &str) -> bool) -> bool {
    if list.trim() == "*" {
        return true;
    }
    // Tags of httpd contain no comma: the fragments of a tag with one do not match.
    ours.is_some_and(|ours| list.split(',').any(|tag| same(tag.trim(), ours)))
}

fn strongly(tag: &str, ours: &str) -> bool {
    tag == ours && !ours.starts_with("W/")
}

fn weakly(tag: &str, ours: &str) -> bool {
    tag.trim_start_matches("W/") == ours.trim_start_matches("W/")
}
