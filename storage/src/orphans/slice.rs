//! The rows of one pass, by the hashes of their paths: those from a first hash on, as many as there
//! is memory for.

/// A range of hashes, with those of rows that lie in it.
pub(super) struct Slice {
    len_max: usize,
    from: u64,
    /// The first hash that is too large for it; none in the last slice.
    end: Option<u64>,
    hashes: Vec<u64>,
    /// Whether each has a file.
    ticked: Vec<bool>,
}

impl Slice {
    /// The first one; none holds more than `len_max` hashes.
    pub(super) fn first(len_max: usize) -> Slice {
        Slice {
            len_max,
            from: 0,
            end: None,
            hashes: Vec::new(),
            ticked: Vec::new(),
        }
    }

    /// The one behind it, if it is not the last.
    pub(super) fn next(self) -> Option<Slice> {
        Some(Slice {
            from: self.end?,
            ..Slice::first(self.len_max)
        })
    }

    /// Takes a hash that lies in it. When there are too many its end moves, and half of them are
    /// left for later.
    pub(super) fn add(&mut self, hash: u64) {
        if !self.covers(hash) {
            return;
        }
        self.hashes.push(hash);
        if self.hashes.len() > self.len_max {
            self.sort();
            let half = self.len_max.div_ceil(2);
            if let Some(&end) = self.hashes.get(half) {
                self.end = Some(end);
                self.hashes.truncate(half);
            }
        }
    }

    /// There are no more.
    pub(super) fn close(&mut self) {
        self.sort();
        self.ticked = vec![false; self.hashes.len()];
    }

    /// Whether a hash lies in it.
    pub(super) fn covers(&self, hash: u64) -> bool {
        hash >= self.from && self.end.is_none_or(|end| hash < end)
    }

    /// Notes that there is a file of this hash; tells whether there is a row.
    pub(super) fn tick_off(&mut self, hash: u64) -> bool {
        let found = self.hashes.binary_search(&hash);
        if let Ok(idx) = found {
            self.ticked[idx] = true;
        }
        found.is_ok()
    }

    /// Whether there is a row of this hash, and no file.
    pub(super) fn lacks(&self, hash: u64) -> bool {
        let found = self.hashes.binary_search(&hash);
        found.is_ok_and(|idx| !self.ticked[idx])
    }

    fn sort(&mut self) {
        self.hashes.sort_unstable();
        self.hashes.dedup();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cover_everything_once_however_few_fit() {
        let rows: Vec<u64> = (0..1000u64)
            .map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .collect();
        for len_max in [1, 7, 1000, 5000] {
            let mut covered = vec![0; rows.len()];
            let mut slices = 0;
            let mut slice = Some(Slice::first(len_max));
            while let Some(mut now) = slice {
                rows.iter().chain(&rows).for_each(|&row| now.add(row));
                now.close();
                assert!(now.hashes.len() <= len_max);
                for (n, &row) in rows.iter().enumerate() {
                    covered[n] += u32::from(now.covers(row));
                    assert_eq!(now.lacks(row), now.covers(row));
                    assert_eq!(now.tick_off(row), now.covers(row));
                    assert!(!now.lacks(row));
                }
                slices += 1;
                slice = now.next();
            }
            assert!(covered.iter().all(|&times| times == 1));
            assert!(
                slices >= rows.len().div_ceil(len_max),
                "{len_max}: {slices}"
            );
            assert!(
                slices <= 3 * rows.len().div_ceil(len_max),
                "{len_max}: {slices}"
            );
        }
    }

    #[test]
    fn what_is_not_a_row_is_neither_lacking_nor_ticked_off() {
        let mut slice = Slice::first(10);
        slice.add(5);
        slice.close();
        assert!(slice.covers(6) && !slice.tick_off(6) && !slice.lacks(6) && slice.lacks(5));
        assert!(slice.next().is_none());
    }
}
