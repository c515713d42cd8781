//! Medians and spreads.

use serde::{Deserialize, Serialize};

/// The results of several rounds of one measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The median. Of an even number of rounds, the mean of the two in the middle.
    pub median: f64,
    /// The smallest result.
    pub min: f64,
    /// The largest result.
    pub max: f64,
}

impl Summary {
    /// The summary of these values; zero without a value.
    pub fn of(values: &[f64]) -> Summary {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else {
            return Summary::exactly(0.0);
        };
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Summary {
            median: (low + high) / 2.0,
            min,
            max,
        }
    }

    /// The summary of one value.
    pub fn exactly(value: f64) -> Summary {
        Summary {
            median: value,
            min: value,
            max: value,
        }
    }

    /// The range of the rounds, divided by the median.
    pub fn spread(&self) -> f64 {
        if self.median == 0.0 {
            return 0.0;
        }
        (self.max - self.min) / self.median
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let odd = Summary::of(&[5.0, 1.0, 3.0]);
        assert_eq!((odd.median, odd.min, odd.max), (3.0, 1.0, 5.0));
        assert_eq!(Summary::of(&[4.0, 1.0, 2.0, 9.0]).median, 3.0);
        assert_eq!(Summary::of(&[7.0]), Summary::exactly(7.0));
        assert_eq!(Summary::of(&[]).median, 0.0);
    }

    #[test]
    fn the_spread_is_the_range_divided_by_the_median() {
        assert_eq!(Summary::of(&[8.0, 10.0, 12.0]).spread(), 0.4);
        assert_eq!(Summary::exactly(0.0).spread(), 0.0);
    }
}
