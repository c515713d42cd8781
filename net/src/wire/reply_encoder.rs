//! Encodes replies.

use std::os::unix::fs::FileExt;

use proto::{ErrorCode, Fault, HEAD_LEN, Head};

use super::access::FaultLog;
use crate::transport::{OpenFile, Outcome, Outgoing, Part, Record, Then};

/// A part of a reply of at most this size is sent in one write with the head; sendfile(2) is cheaper for a
/// larger range of a file.
const SMALL: u64 = 32 << 10;

/// Makes frames of the answers of a service.
pub(super) struct ReplyEncoder {
    reply_command: u8,
    hostname: String,
    faults: FaultLog,
}

impl ReplyEncoder {
    /// Failure replies begin with `[hostname]`.
    pub(super) fn new(reply_command: u8, hostname: &str) -> ReplyEncoder {
        ReplyEncoder {
            reply_command,
            hostname: hostname.to_owned(),
            faults: FaultLog::default(),
        }
    }

    /// Short parts are copied behind the head, so that one write sends them.
    pub(super) fn success(&self, body: Vec<Part>, record: Record) -> Outgoing {
        let len: u64 = body.iter().map(Part::len).sum();
        let in_memory = |part: &&Part| !matches!(part, Part::File { .. } | Part::Stream { .. });
        let content_start =
            HEAD_LEN as u64 + body.iter().filter(in_memory).map(Part::len).sum::<u64>();
        let mut front = Vec::with_capacity(HEAD_LEN + len.min(SMALL) as usize);
        front.extend_from_slice(&Head::reply(self.reply_command, len).encode());
        let (mut parts, mut descriptor) = (vec![], None);
        for part in body {
            match part {
                part if !parts.is_empty() || part.len() > SMALL => parts.push(part),
                Part::Bytes(bytes) => front.extend_from_slice(&bytes),
                Part::Shared(bytes) => front.extend_from_slice(&bytes),
                Part::File { file, offset, len } => {
                    if let Err(fault) = read(&*file, offset, len as usize, &mut front) {
                        return self.failure(&fault, Then::Keep, record);
                    }
                }
                Part::WithDescriptor { bytes, file } => {
                    front.extend_from_slice(&bytes);
                    descriptor = Some(file);
                }
                stream @ Part::Stream { .. } => parts.push(stream),
            }
        }
        let front = match descriptor {
            Some(file) => Part::WithDescriptor { bytes: front, file },
            None => Part::Bytes(front),
        };
        parts.insert(0, front);
        Outgoing::new(
            parts,
            Then::Keep,
            Some(record.decide(Outcome::Ok, content_start)),
        )
    }

    pub(super) fn failure(&self, fault: &Fault, then: Then, record: Record) -> Outgoing {
        self.faults.note(&record, fault);
        self.encode(fault, then, Some(failed(record, fault)))
    }

    pub(super) fn encode(&self, fault: &Fault, then: Then, record: Option<Record>) -> Outgoing {
        let bytes = fault.encode(self.reply_command, &self.hostname);
        Outgoing::new(vec![Part::Bytes(bytes)], then, record)
    }
}

/// A failure reply has no content.
pub(super) fn failed(record: Record, fault: &Fault) -> Record {
    record.decide(Outcome::Failed(fault.code), u64::MAX)
}

/// Appends a range of a file to `bytes`.
fn read(file: &dyn OpenFile, offset: u64, len: usize, bytes: &mut Vec<u8>) -> Result<(), Fault> {
    let start = bytes.len();
    bytes.resize(start + len, 0);
    let mut read = Ok(());
    let visited = file.visit(&mut |file| read = file.read_exact_at(&mut bytes[start..], offset));
    let fault = |code, e| Fault::new(code, format!("stored file cannot be read: {e}"));
    visited.map_err(|e| fault(ErrorCode::Unavailable, e))?;
    read.map_err(|e| fault(file.cannot_read(offset, &e), e))
}
