//! Byte ranges (RFC 9110, 14).

use proto::storage::Span;

/// Most ranges of one request that are served one by one; more are taken for an attack, and the
/// whole file is sent, as RFC 9110 (14.2) allows.
const RANGES_MAX: usize = 16;

/// A stretch of a file that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Stretch {
    pub(crate) offset: u64,
    /// At least 1.
    pub(crate) len: u64,
}

/// What a Range field asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ranges {
    /// The field is absent, of another unit or malformed, or asks for too much: it is ignored. So is
    /// any field of a file without bytes: a cache asks for its first slice before it knows the size.
    Whole,
    /// None of the ranges overlaps the file.
    Unsatisfiable,
    /// These, in the order asked for; merged and in the file's order where they overlap.
    Some(Vec<Stretch>),
}

impl Stretch {
    /// Position of the last byte.
    pub(crate) fn last(&self) -> u64 {
        self.offset + self.len - 1
    }

    /// The same as a storage is asked for it.
    pub(crate) fn span(&self) -> Span {
        Span {
            // No file is longer than that.
            offset: i64::try_from(self.offset).unwrap_or(i64::MAX),
            size: self.len,
        }
    }
}

/// Reads a Range field against a file of `size` bytes.
pub(crate) fn parse(field: &str, size: u64) -> Ranges {
    let Some((unit, specs)) = field.split_once('=') else {
        return Ranges::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Ranges::Whole;
    }
    let mut stretches = Vec::new();
    let mut asked = 0;
    // An empty list element is no error (RFC 9110, 5.6.1.2).
    for spec in specs
        .split(',')
        .map(str::trim)
        .filter(|spec| !spec.is_empty())
    {
        asked += 1;
        match parse_spec(spec, size) {
            Some(stretch) if asked <= RANGES_MAX => stretches.extend(stretch),
            _ => return Ranges::Whole,
        }
    }
    match (asked, stretches.is_empty()) {
        (0, _) => Ranges::Whole,
        _ if size == 0 => Ranges::Whole,
        (_, true) => Ranges::Unsatisfiable,
        (_, false) => Ranges::Some(merge_if_overlapping(stretches)),
    }
}

/// The part that a Range field with a single range asks for, whatever the file's size; `None` for
/// all other fields, which [`parse`] knows more of.
pub(crate) fn span(field: &str) -> Option<Span> {
    let spec = field.strip_prefix("bytes=")?;
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        let len = i64::try_from(digits(last)?).ok().filter(|len| *len > 0)?;
        return Some(Span {
            offset: -len,
            size: 0,
        });
    }
    let first = digits(first)?;
    let size = match last {
        "" => 0,
        last => digits(last)?.checked_sub(first)?.saturating_add(1),
    };
    let offset = i64::try_from(first).ok()?;
    let size = size.min(i64::MAX as u64);
    Some(Span { offset, size })
}

/// `None` when malformed, `Some(None)` when the file has no such bytes.
fn parse_spec(spec: &str, size: u64) -> Option<Option<Stretch>> {
    let (first, last) = spec.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        let len = digits(last)?.min(size);
        return Some((len > 0).then(|| Stretch {
            offset: size - len,
            len,
        }));
    }
    let first = digits(first)?;
    let last = if last.is_empty() {
        u64::MAX
    } else {
        digits(last)?
    };
    if last < first {
        return None;
    }
    let within = first < size;
    Some(within.then(|| Stretch {
        offset: first,
        len: last.min(size - 1) - first + 1,
    }))
}

/// A number of any length; one beyond 64 bits is beyond any file.
fn digits(text: &str) -> Option<u64> {
    let valid = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Nobody gets a byte twice (RFC 9110, 14.2, on overlapping ranges).
fn merge_if_overlapping(stretches: Vec<Stretch>) -> Vec<Stretch> {
    let mut sorted = stretches.clone();
    sorted.sort_by_key(|stretch| stretch.offset);
    let mut merged: Vec<Stretch> = Vec::new();
    for stretch in sorted {
        match merged.last_mut() {
            Some(before) if stretch.offset <= before.last() => {
                before.len = before.len.max(stretch.last() - before.offset + 1);
            }
            _ => merged.push(stretch),
        }
    }
    if merged.len() == stretches.len() {
        stretches
    } else {
        merged
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some(stretches: &[(u64, u64)]) -> Ranges {
        Ranges::Some(
            stretches
                .iter()
                .map(|&(offset, len)| Stretch { offset, len })
                .collect(),
        )
    }

    #[test]
    fn every_form_of_a_single_range() {
        for (field, expected) in [
            ("bytes=0-0", some(&[(0, 1)])),
            ("bytes=2-5", some(&[(2, 4)])),
            ("bytes=2-", some(&[(2, 8)])),
            ("bytes=-3", some(&[(7, 3)])),
            ("bytes=-99", some(&[(0, 10)])),
            ("bytes=5-99999999999999999999999", some(&[(5, 5)])),
            ("Bytes = 9-9", some(&[(9, 1)])),
            ("bytes=10-", Ranges::Unsatisfiable),
            ("bytes=99999999999999999999999-", Ranges::Unsatisfiable),
            ("bytes=-0", Ranges::Unsatisfiable),
        ] {
            assert_eq!(parse(field, 10), expected, "{field}");
        }
    }

    #[test]
    fn no_range_of_a_file_without_bytes_is_an_error() {
        for field in [
            "bytes=0-",
            "bytes=-5",
            "bytes=0-0",
            "bytes=7-",
            "bytes=0-,-1",
        ] {
            assert_eq!(parse(field, 0), Ranges::Whole, "{field}");
        }
    }

    #[test]
    fn several_ranges_keep_their_order_unless_they_overlap() {
        assert_eq!(
            parse("bytes=6-7, 0-1,-1", 10),
            some(&[(6, 2), (0, 2), (9, 1)])
        );
        assert_eq!(parse("bytes=6-7,99-,0-1", 10), some(&[(6, 2), (0, 2)]));
        assert_eq!(parse("bytes=4-7,0-5,9-9", 10), some(&[(0, 8), (9, 1)]));
        assert_eq!(parse("bytes=20-,30-", 10), Ranges::Unsatisfiable);
    }

    #[test]
    fn what_is_malformed_or_too_much_is_ignored() {
        let many = format!("bytes={}", "0-0,".repeat(17));
        let malformed = [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "lines=0-1",
            "bytes=5-2",
            "bytes=a-b",
        ];
        let more = [
            "bytes=--1",
            "bytes=1",
            "bytes=0-1;2-3",
            "bytes=+1-2",
            many.as_str(),
        ];
        for field in malformed.into_iter().chain(more) {
            assert_eq!(parse(field, 10), Ranges::Whole, "{field}");
        }
    }

    proptest! {
        #[test]
        fn a_span_is_what_the_field_asks_for(field in "bytes=[0-9]{0,3}-[0-9]{0,3}", size in 0u64..200) {
            if let Some(span) = span(&field) {
                let (offset, len) = span.within(size);
                match parse(&field, size) {
                    Ranges::Some(stretches) => prop_assert_eq!(stretches, [Stretch { offset, len }]),
                    Ranges::Unsatisfiable => prop_assert_eq!(len, 0),
                    Ranges::Whole => prop_assert_eq!(size, 0),
                }
            }
        }

        #[test]
        fn every_stretch_lies_in_the_file(field in "bytes=[0-9,-]{0,40}", size in 0u64..200) {
            if let Ranges::Some(stretches) = parse(&field, size) {
                prop_assert!(!stretches.is_empty());
                let total: u64 = stretches.iter().map(|s| s.len).sum();
                prop_assert!(total <= size);
                prop_assert!(stretches.iter().all(|s| s.len > 0 && s.last() < size));
            }
        }
    }
}
