//! Byte ranges (RFC 9110, 14).

use client::{ByteRange, RangeSpec};

/// Limit on the ranges of one request. A request with more is taken for an attack and gets the whole
/// file, as RFC 9110 (14.2) allows.
const RANGES_MAX: usize = 16;

/// The ranges that a Range field requests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ranges {
    /// The field is ignored: it is absent, malformed, of another unit, or has too many ranges; or the
    /// file is empty. A cache requests its first slice before it knows the size.
    Whole,
    /// None of the ranges overlaps the file.
    Unsatisfiable,
    /// In the order of the field. If some overlap, all are merged and in the order of the file.
    Some(Vec<ByteRange>),
}

/// Offset of the last byte of a range that is not empty.
pub(crate) fn last_byte(range: ByteRange) -> u64 {
    range.offset + range.len - 1
}

/// Parses a Range field for a file of `size` bytes.
pub(crate) fn parse(field: &str, size: u64) -> Ranges {
    let Some((unit, specs)) = field.split_once('=') else {
        return Ranges::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Ranges::Whole;
    }
    let mut ranges = Vec::new();
    let mut asked = 0;
    // An empty list element is no error (RFC 9110, 5.6.1.2).
    for spec in specs
        .split(',')
        .map(str::trim)
        .filter(|spec| !spec.is_empty())
    {
        asked += 1;
        match parse_spec(spec, size) {
            Some(range) if asked <= RANGES_MAX => ranges.extend(range),
            _ => return Ranges::Whole,
        }
    }
    match (asked, ranges.is_empty()) {
        (0, _) => Ranges::Whole,
        _ if size == 0 => Ranges::Whole,
        (_, true) => Ranges::Unsatisfiable,
        (_, false) => Ranges::Some(merge_if_overlapping(ranges)),
    }
}

/// The range of a Range field with a single range, for a file of unknown size. `None` for all other
/// fields.
pub(crate) fn single(field: &str) -> Option<RangeSpec> {
    let spec = field.strip_prefix("bytes=")?;
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        let len = i64::try_from(digits(last)?).ok().filter(|len| *len > 0)?;
        return Some(RangeSpec {
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
    Some(RangeSpec { offset, size })
}

/// `None` if malformed, `Some(None)` if the file has no such bytes.
fn parse_spec(spec: &str, size: u64) -> Option<Option<ByteRange>> {
    let (first, last) = spec.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        let len = digits(last)?.min(size);
        return Some((len > 0).then(|| ByteRange {
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
    Some(within.then(|| ByteRange {
        offset: first,
        len: last.min(size - 1) - first + 1,
    }))
}

/// A number of any length. One above 64 bits is beyond the end of any file.
fn digits(text: &str) -> Option<u64> {
    let valid = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.parse().unwrap_or(u64::MAX))
}

/// No byte is sent twice (RFC 9110, 14.2, on overlapping ranges).
fn merge_if_overlapping(ranges: Vec<ByteRange>) -> Vec<ByteRange> {
    let mut sorted = ranges.clone();
    sorted.sort_by_key(|range| range.offset);
    let mut merged: Vec<ByteRange> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(before) if range.offset <= last_byte(*before) => {
                before.len = before.len.max(last_byte(range) - before.offset + 1);
            }
            _ => merged.push(range),
        }
    }
    if merged.len() == ranges.len() {
        ranges
    } else {
        merged
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some(ranges: &[(u64, u64)]) -> Ranges {
        Ranges::Some(
            ranges
                .iter()
                .map(|&(offset, len)| ByteRange { offset, len })
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
        fn a_single_range_is_what_the_field_asks_for(field in "bytes=[0-9]{0,3}-[0-9]{0,3}", size in 0u64..200) {
            if let Some(spec) = single(&field) {
                let ByteRange { offset, len } = spec.within(size);
                match parse(&field, size) {
                    Ranges::Some(ranges) => prop_assert_eq!(ranges, [ByteRange { offset, len }]),
                    Ranges::Unsatisfiable => prop_assert_eq!(len, 0),
                    Ranges::Whole => prop_assert_eq!(size, 0),
                }
            }
        }

        #[test]
        fn every_range_lies_in_the_file(field in "bytes=[0-9,-]{0,40}", size in 0u64..200) {
            if let Ranges::Some(ranges) = parse(&field, size) {
                prop_assert!(!ranges.is_empty());
                let total: u64 = ranges.iter().map(|s| s.len).sum();
                prop_assert!(total <= size);
                prop_assert!(ranges.iter().all(|s| s.len > 0 && last_byte(*s) < size));
            }
        }
    }
}
