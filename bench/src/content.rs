//! Generated content of any size. Each piece is a section of the same random bytes, so that content takes
//! no memory and a check costs one comparison.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::LazyLock;

/// Length of a piece, in bytes.
const PIECE: usize = 64 << 10;
/// Number of sections: the chance that two pieces are equal is 1 in this number.
const CUTS: usize = 256 << 10;

/// The random bytes. They fit into the second level of a processor's cache.
static NOISE: LazyLock<Box<[u8]>> = LazyLock::new(|| {
    let mut state = 0;
    let words = std::iter::repeat_with(|| next_random(&mut state).to_le_bytes());
    words.take((CUTS + PIECE) / 8).flatten().collect()
});

/// `size` bytes that depend on `seed`, with `Read` and `Seek`.
#[derive(Debug, Clone)]
pub struct Content {
    seed: u64,
    size: u64,
    at: u64,
}

impl Content {
    /// Content at its first byte.
    pub fn new(seed: u64, size: u64) -> Content {
        Content { seed, size, at: 0 }
    }

    /// Length, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The same content at `offset`.
    pub fn starting_at(&self, offset: u64) -> Content {
        let mut content = self.clone();
        content.at = offset.min(self.size);
        content
    }

    /// Compares `actual` with the next bytes, and advances.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`]: the bytes differ, or there are more than the content has.
    pub fn check(&mut self, mut actual: &[u8]) -> io::Result<()> {
        while !actual.is_empty() {
            let expected = self.next_bytes(actual.len());
            let (head, rest) = actual.split_at(expected.len());
            if head.is_empty() || head != expected {
                let (at, len, all) = (self.at, head.len(), self.size);
                let text = format!("differs within {len} bytes from byte {at} of {all} on");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            self.at += head.len() as u64;
            actual = rest;
        }
        Ok(())
    }

    /// Reads `actual` to its end and compares it.
    ///
    /// # Errors
    /// Reading fails, or the bytes differ.
    pub fn compare(mut self, actual: &mut dyn Read) -> io::Result<()> {
        let mut buffer = vec![0; 4 * PIECE];
        loop {
            match actual.read(&mut buffer) {
                Ok(0) if self.at == self.size => return Ok(()),
                Ok(0) => {
                    let text = format!("ends at byte {} of {}", self.at, self.size);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
                Ok(n) => self.check(&buffer[..n])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next bytes up to the end of the piece, at most `max`.
    fn next_bytes(&self, max: usize) -> &'static [u8] {
        let mut state = self.seed ^ (self.at / PIECE as u64).rotate_left(32);
        let cut = next_random(&mut state) as usize % CUTS;
        let from = (self.at % PIECE as u64) as usize;
        let left = usize::try_from(self.size - self.at).unwrap_or(usize::MAX);
        let len = max.min(PIECE - from).min(left);
        &NOISE[cut + from..][..len]
    }
}

impl Read for Content {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < out.len() && self.at < self.size {
            let bytes = self.next_bytes(out.len() - filled);
            out[filled..][..bytes.len()].copy_from_slice(bytes);
            filled += bytes.len();
            self.at += bytes.len() as u64;
        }
        Ok(filled)
    }
}

impl Seek for Content {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?.min(self.size);
        Ok(self.at)
    }
}

/// The next pseudo-random number of a sequence (splitmix64).
pub fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(content: &Content) -> Vec<u8> {
        let mut bytes = Vec::new();
        content.clone().read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn any_part_is_what_the_whole_has_there() {
        let content = Content::new(7, 3 * PIECE as u64 + 5);
        let whole = whole(&content);
        assert_eq!(whole.len() as u64, content.size());
        for offset in [0, 1, 15, 16, PIECE - 1, PIECE, 2 * PIECE + 3, whole.len()] {
            let mut part = Vec::new();
            let mut rest = content.starting_at(offset as u64);
            rest.read_to_end(&mut part).unwrap();
            assert!(part == whole[offset..], "from {offset}");
            let mut check = content.starting_at(offset as u64);
            assert!(check.check(&part).is_ok(), "from {offset}");
        }
    }

    #[test]
    fn pieces_and_seeds_differ() {
        let one = whole(&Content::new(1, 3 * PIECE as u64));
        let two = whole(&Content::new(2, 3 * PIECE as u64));
        let pieces: Vec<&[u8]> = one.chunks(PIECE).chain(two.chunks(PIECE)).collect();
        for (idx, piece) in pieces.iter().enumerate() {
            assert!(!pieces[..idx].contains(piece), "piece {idx}");
        }
    }

    #[test]
    fn a_difference_is_found() {
        let content = Content::new(7, 2 * PIECE as u64);
        let mut whole = whole(&content);
        assert!(content.clone().compare(&mut &whole[..]).is_ok());
        assert!(content.clone().compare(&mut &whole[1..]).is_err());
        assert!(content.clone().compare(&mut &whole[..9]).is_err());
        whole.push(0);
        assert!(content.clone().compare(&mut &whole[..]).is_err());
        whole.pop();
        whole[PIECE] ^= 1;
        assert!(content.starting_at(0).check(&whole[..PIECE]).is_ok());
        assert!(content.compare(&mut &whole[..]).is_err());
    }
}
