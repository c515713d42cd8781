//! The field Forwarded (RFC 7239), by which proxies tell the addresses of their clients.

use std::net::{IpAddr, SocketAddr};

/// The addresses of the parameters `for`, in order: absent for a hop that hides its address. `None` for a field
/// that is not valid: a part of it that a client sent could change the meaning of what a proxy appended.
pub(super) fn hops(field: &str) -> Option<Vec<Option<IpAddr>>> {
    split(field, ',').map(hop).collect()
}

/// One element: pairs of a name and a value.
fn hop(element: &str) -> Option<Option<IpAddr>> {
    let mut client = None;
    for pair in split(element, ';') {
        let pair = pair.trim();
        if pair.is_empty() {
            continue;
        }
        let (name, value) = pair.split_once('=')?;
        let value = unquote(value)?;
        if name.eq_ignore_ascii_case("for") {
            client = address(&value);
        }
    }
    Some(client)
}

/// Splits at the separators that are not within quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |c| {
        let was_escaped = is_escaped;
        is_escaped = is_quoted && !was_escaped && c == '\\';
        if c == '"' && !was_escaped {
            is_quoted = !is_quoted;
        }
        c == separator && !is_quoted
    })
}

/// The text of a token or a quoted string (RFC 9110, 5.6). IPv4 addresses with a port are not tokens, but
/// proxies send them without quotes.
fn unquote(value: &str) -> Option<String> {
    let Some(rest) = value.strip_prefix('"') else {
        let is_token = |c: char| c.is_ascii_graphic() && !"\"(),;<=>?@\\{}".contains(c);
        return (!value.is_empty() && value.chars().all(is_token)).then(|| value.to_owned());
    };
    let mut text = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => break,
            '\\' => text.push(chars.next()?),
            c => text.push(c),
        }
    }
    chars.next().is_none().then_some(text)
}

/// An address with an optional port; an IPv6 address may stand in brackets.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let ip = bare.parse::<IpAddr>();
    let ip = ip.or_else(|_| text.parse::<SocketAddr>().map(|addr| addr.ip()));
    Some(ip.ok()?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        for (field, expected) in [
            ("for=\"_gazonk\"", vec![None]),
            (
                "For=\"[2001:db8:cafe::17]:4711\"",
                vec![ip("2001:db8:cafe::17")],
            ),
            (
                "for=192.0.2.60;proto=http;by=203.0.113.43",
                vec![ip("192.0.2.60")],
            ),
            (
                "for=192.0.2.43, for=198.51.100.17",
                vec![ip("192.0.2.43"), ip("198.51.100.17")],
            ),
            (
                "for=192.0.2.43,for=\"[2001:db8:cafe::17]\",for=unknown",
                vec![ip("192.0.2.43"), ip("2001:db8:cafe::17"), None],
            ),
            ("proto=https", vec![None]),
            (
                "host=\"a,b;c\\\"\";for=\"192.0.2.1:80\"",
                vec![ip("192.0.2.1")],
            ),
            ("for=192.0.2.1:80", vec![ip("192.0.2.1")]),
        ] {
            assert_eq!(hops(field), Some(expected), "{field}");
        }
    }

    /// The client sent the part before the last element.
    #[test]
    fn a_quote_of_the_client_does_not_hide_what_the_proxy_appended() {
        for forged in [
            "for=1.2.3.4;x=\"",
            "for=1.2.3.4;x=\"\\",
            "for=\"1.2.3.4",
            "x",
            "for=a b",
            "for=",
        ] {
            for appended in [
                "for=198.51.100.1",
                "for=\"[2001:db8::1]\"",
                "proto=\"http\"",
            ] {
                let field = format!("{forged}, {appended}");
                assert_eq!(hops(&field), None, "{field}");
            }
        }
    }
}
