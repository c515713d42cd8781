//! The rows of one pass, by the hashes of their paths: those from a first hash on, as many as there
//! is memory for.

/// A range of hashes, with those of rows that lie in it.
pub(super) struct Slice {
    len_max: usize,
    from: u64,
    /// The first hash that is too large for it; none in the last slice.
    end: Option<u64>,
    /// Hashes and sizes.
    rows: Vec<(u64, u64)>,
    /// Whether each has a file of its size.
    ticked: Vec<bool>,
}

impl Slice {
    /// The first one; none holds more than `len_max` hashes.
    pub(super) fn first(len_max: usize) -> Slice {
        Slice {
            len_max,
            from: 0,
            end: None,
            rows: Vec::new(),
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

    /// Takes the row of a file of this size, if its hash lies in the slice. When there are too many
    /// its end moves, and half of them are left for later.
    pub(super) fn add(&mut self, hash: u64, size: u64) {
        if !self.covers(hash) {
            return;
        }
        self.rows.push((hash, size));
        if self.rows.len() > self.len_max {
            self.sort();
            let half = self.len_max.div_ceil(2);
            if let Some(&(end, _)) = self.rows.get(half) {
                self.end = Some(end);
                self.rows.truncate(half);
            }
        }
    }

    /// There are no more.
    pub(super) fn close(&mut self) {
        self.sort();
        self.ticked = vec![false; self.rows.len()];
    }

    /// Whether a hash lies in it.
    pub(super) fn covers(&self, hash: u64) -> bool {
        hash >= self.from && self.end.is_none_or(|end| hash < end)
    }

    /// Notes that there is a file of this hash and size, or something else than a file; tells whether
    /// there is a row.
    pub(super) fn tick_off(&mut self, hash: u64, size: Option<u64>) -> bool {
        let found = self.find(hash);
        if let Some(idx) = found
            && Some(self.rows[idx].1) == size
        {
            self.ticked[idx] = true;
        }
        found.is_some()
    }

    /// Whether there is a row of this hash, and no file of its size.
    pub(super) fn lacks(&self, hash: u64) -> bool {
        self.find(hash).is_some_and(|idx| !self.ticked[idx])
    }

    fn find(&self, hash: u64) -> Option<usize> {
        let found = self.rows.binary_search_by_key(&hash, |&(hash, _)| hash);
        found.ok()
    }

    /// Of two rows with one hash one is kept: the other is looked at again for nothing.
    fn sort(&mut self) {
        self.rows.sort_unstable();
        self.rows.dedup_by_key(|row| row.0);
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
                rows.iter().chain(&rows).for_each(|&row| now.add(row, 7));
                now.close();
                assert!(now.rows.len() <= len_max);
                for (n, &row) in rows.iter().enumerate() {
                    covered[n] += u32::from(now.covers(row));
                    assert_eq!(now.lacks(row), now.covers(row));
                    assert_eq!(now.tick_off(row, Some(7)), now.covers(row));
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
        slice.add(5, 7);
        slice.close();
        assert!(slice.covers(6) && !slice.tick_off(6, Some(7)));
        assert!(!slice.lacks(6) && slice.lacks(5));
        assert!(slice.next().is_none());
    }

    #[test]
    fn a_file_of_another_size_does_not_tick_its_row_off() {
        let mut slice = Slice::first(10);
        slice.add(5, 7);
        slice.close();
        for size in [Some(6), None] {
            assert!(slice.tick_off(5, size) && slice.lacks(5));
        }
        assert!(slice.tick_off(5, Some(7)) && !slice.lacks(5));
    }
}
