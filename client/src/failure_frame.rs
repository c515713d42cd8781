//! Detection of the failure reply that a C++ storage writes into the content when it cannot read on.
//!
//! The storage has sent a part of the announced bytes. It then sends a whole failure reply and closes
//! the connection (protocol.md, Learned from C++ nodes). The bytes before the reply are content.

use proto::storage::REPLY;
use proto::{Fault, HEAD_LEN, Head};

/// Limit on the length of a failure reply, in bytes.
pub(crate) const FRAME_MAX: usize = HEAD_LEN + Fault::BODY_MAX;

/// The error number of a C++ failure is always -1.
const CPP_CODE: [u8; 2] = (-1_i16).to_be_bytes();

/// A failure reply at the end of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its index in the bytes.
    pub(crate) start: usize,
    /// Absent if the bytes end within the reply.
    pub(crate) fault: Option<Fault>,
}

/// Finds the failure reply, whole or cut, at the end of `bytes`.
pub(crate) fn find(bytes: &[u8]) -> Option<Found> {
    let first = bytes.len().saturating_sub(FRAME_MAX);
    (first..bytes.len()).find_map(|start| {
        let rest = &bytes[start..];
        begins(rest).then(|| Found {
            start,
            fault: whole(rest),
        })
    })
}

/// True if `bytes` may be a failure reply or its beginning.
fn begins(bytes: &[u8]) -> bool {
    let mut head = [0; HEAD_LEN];
    let len = bytes.len().min(HEAD_LEN);
    head[..len].copy_from_slice(&bytes[..len]);
    let body = &bytes[len..];
    let Head {
        body_len,
        command,
        status,
    } = Head::decode(&head);
    let longest = Fault::BODY_MAX as i64;
    // Missing bytes of the length count as zeros.
    let shortest = if len < 8 { 0 } else { CPP_CODE.len() as i64 };
    (shortest..=longest).contains(&body_len)
        && (len <= 8 || command == REPLY)
        && (len <= 9 || status != 0)
        && body.iter().zip(CPP_CODE).all(|(&byte, code)| byte == code)
        && is_text(body.get(CPP_CODE.len()..).unwrap_or(&[]), body_len)
}

/// True if the only NUL of `text` is the last byte of the body, as far as `text` goes.
fn is_text(text: &[u8], body_len: i64) -> bool {
    let len = usize::try_from(body_len).unwrap_or(0);
    let text_len = len.saturating_sub(CPP_CODE.len());
    match text.iter().position(|&byte| byte == 0) {
        Some(nul) => nul + 1 == text_len && text.len() == text_len,
        None => text.len() < text_len || text_len == 0 && text.is_empty(),
    }
}

fn whole(bytes: &[u8]) -> Option<Fault> {
    let (head, body) = bytes.split_at_checked(HEAD_LEN)?;
    let body_len = Head::decode(head.try_into().ok()?).body_len;
    (body.len() as i64 == body_len).then(|| Fault::decode(body).ok())?
}

#[cfg(test)]
mod tests {
    use proto::ErrorCode;

    use super::*;

    fn frame(message: &str) -> Vec<u8> {
        Fault::new(ErrorCode::Unknown, message).encode(REPLY, "cpp")
    }

    #[test]
    fn a_failure_behind_content_is_found() {
        let longest = "x".repeat(2000);
        for message in ["", "read file fail", &longest] {
            let bytes = [b"content".repeat(100), frame(message)].concat();
            let found = find(&bytes).unwrap();
            assert_eq!(found.start, 700);
            assert_eq!(found.fault.unwrap().code, ErrorCode::Unknown);
        }
        let without_text = [0, 0, 0, 0, 0, 0, 0, 2, REPLY, 0xFD, 0xFF, 0xFF];
        let found = find(&without_text).unwrap();
        assert_eq!((found.start, found.fault.is_some()), (0, true));
    }

    #[test]
    fn a_part_of_a_failure_is_found() {
        let frame = frame("read file fail");
        for len in 1..frame.len() {
            let bytes = [b"content", &frame[..len]].concat();
            let expected = Found {
                start: 7,
                fault: None,
            };
            assert_eq!(find(&bytes), Some(expected), "{len} bytes");
        }
    }

    #[test]
    fn content_is_no_failure() {
        let frame = frame("read file fail");
        let mut success = frame.clone();
        success[9] = 0;
        let mut code = frame.clone();
        code[11] = 7;
        let mut nul = frame.clone();
        nul[20] = 0;
        let behind = [&frame[..], b"x"].concat();
        for bytes in [&b""[..], b"content", &success, &code, &nul, &behind] {
            // The final NUL alone may be the beginning of one.
            let found = find(bytes).map_or(bytes.len(), |found| found.start);
            assert!(found + 1 >= bytes.len(), "{bytes:?}");
        }
    }

    #[test]
    fn zeros_at_the_end_are_few() {
        assert_eq!(find(&[0; 5000]).unwrap().start, 5000 - 7);
    }
}
