//! Content of any size that is made, and checked, piece by piece: no two pieces are alike, none is
//! kept, and both cost little more than a copy.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

/// A piece begins with the seed and its number; the rest is the same noise in every piece.
const PIECE: usize = 64 << 10;
const LABEL: usize = 16;

/// `size` bytes that depend on `seed`. Read and seek it like a file.
#[derive(Debug, Clone)]
pub struct Content {
    seed: u64,
    size: u64,
    at: u64,
    noise: Arc<[u8]>,
}

impl Content {
    /// Content from its beginning.
    pub fn new(seed: u64, size: u64) -> Content {
        let mut state = seed;
        let words = std::iter::repeat_with(|| next_random(&mut state).to_le_bytes());
        Content {
            seed,
            size,
            at: 0,
            noise: words.take(PIECE / 8).flatten().collect(),
        }
    }

    /// How long it is.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The same content from `offset` on.
    pub fn starting_at(&self, offset: u64) -> Content {
        let mut content = self.clone();
        content.at = offset;
        content
    }

    /// Reads `actual` to its end, which must be where this ends.
    ///
    /// # Errors
    /// Reading fails, or the first difference.
    pub fn compare(mut self, actual: &mut dyn Read) -> io::Result<()> {
        let mut buffer = vec![0; 4 * PIECE];
        let mut expected = buffer.clone();
        loop {
            let at = self.at;
            let len = actual.read(&mut buffer)?;
            if len == 0 && at == self.size {
                return Ok(());
            }
            let wanted = len.min((self.size - at).try_into().unwrap_or(usize::MAX));
            self.read_exact(&mut expected[..wanted])?;
            if len == 0 || wanted < len || buffer[..len] != expected[..len] {
                let all = self.size;
                let text = format!("differs within {len} bytes from byte {at} of {all} on");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }

    fn copy_piece(&self, out: &mut [u8]) -> usize {
        let idx = self.at / PIECE as u64;
        let from = (self.at % PIECE as u64) as usize;
        let mut label = [0; LABEL];
        label[..8].copy_from_slice(&self.seed.to_le_bytes());
        label[8..].copy_from_slice(&idx.to_le_bytes());
        let source = if from < LABEL {
            &label[from..]
        } else {
            &self.noise[from..]
        };
        let left = usize::try_from(self.size - self.at).unwrap_or(usize::MAX);
        let len = out.len().min(source.len()).min(left);
        out[..len].copy_from_slice(&source[..len]);
        len
    }
}

impl Read for Content {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < out.len() && self.at < self.size {
            let len = self.copy_piece(&mut out[filled..]);
            filled += len;
            self.at += len as u64;
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

/// A sequence of numbers that look random and are the same in every run (splitmix64).
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

    #[test]
    fn any_part_is_what_the_whole_has_there() {
        let content = Content::new(7, 3 * PIECE as u64 + 5);
        let mut whole = Vec::new();
        content.clone().read_to_end(&mut whole).unwrap();
        assert_eq!(whole.len() as u64, content.size());
        for offset in [0, 1, 15, 16, PIECE - 1, PIECE, 2 * PIECE + 3, whole.len()] {
            let mut part = Vec::new();
            let mut rest = content.starting_at(offset as u64);
            rest.read_to_end(&mut part).unwrap();
            assert!(part == whole[offset..], "from {offset}");
        }
    }

    #[test]
    fn a_difference_is_found() {
        let content = Content::new(7, 2 * PIECE as u64);
        let mut whole = Vec::new();
        content.clone().read_to_end(&mut whole).unwrap();
        assert!(content.clone().compare(&mut &whole[..]).is_ok());
        assert!(content.clone().compare(&mut &whole[1..]).is_err());
        assert!(content.clone().compare(&mut &whole[..9]).is_err());
        whole.push(0);
        assert!(content.clone().compare(&mut &whole[..]).is_err());
        whole.pop();
        whole[PIECE] ^= 1;
        assert!(content.compare(&mut &whole[..]).is_err());
    }
}
