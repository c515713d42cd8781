//! The operations and their weights.

use std::str::FromStr;

/// One kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Upload,
    Download,
    Range,
    Stat,
    List,
    Delete,
    Saddrs,
    Id,
    Http,
    HttpRange,
    HttpSeek,
}

impl Operation {
    /// In the order of the table of results.
    pub(crate) const ALL: [Operation; 11] = [
        Operation::Upload,
        Operation::Download,
        Operation::Range,
        Operation::Stat,
        Operation::List,
        Operation::Delete,
        Operation::Saddrs,
        Operation::Id,
        Operation::Http,
        Operation::HttpRange,
        Operation::HttpSeek,
    ];

    /// Its name in options and results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Operation::Upload => "upload",
            Operation::Download => "download",
            Operation::Range => "range",
            Operation::Stat => "stat",
            Operation::List => "list",
            Operation::Delete => "delete",
            Operation::Saddrs => "saddrs",
            Operation::Id => "id",
            Operation::Http => "http",
            Operation::HttpRange => "http-range",
            Operation::HttpSeek => "http-seek",
        }
    }

    /// True if it reads files that were stored before the measurement.
    pub(crate) fn reads(self) -> bool {
        match self {
            Operation::Download | Operation::Range | Operation::Stat | Operation::List => true,
            Operation::Upload | Operation::Delete | Operation::Saddrs | Operation::Id => false,
            Operation::Http | Operation::HttpRange | Operation::HttpSeek => true,
        }
    }

    /// True if it needs an HTTP server.
    pub(crate) fn is_http(self) -> bool {
        matches!(
            self,
            Operation::Http | Operation::HttpRange | Operation::HttpSeek
        )
    }
}

/// Operations with their weights, at least one and none of weight zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    parts: Vec<(Operation, u32)>,
    total: u64,
}

impl Mix {
    /// The operation for a random number.
    pub(crate) fn pick(&self, random: u64) -> Operation {
        let mut at = random % self.total;
        for &(operation, weight) in &self.parts {
            match at.checked_sub(u64::from(weight)) {
                Some(rest) => at = rest,
                None => return operation,
            }
        }
        self.parts[0].0
    }

    /// True if one of its operations satisfies the predicate.
    pub(crate) fn any(&self, predicate: impl Fn(Operation) -> bool) -> bool {
        self.parts
            .iter()
            .any(|&(operation, _)| predicate(operation))
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Mix, String> {
        let mut parts: Vec<(Operation, u32)> = Vec::new();
        for part in text.split(',') {
            let (name, weight) = part.split_once(':').unwrap_or((part, "1"));
            let operation = Operation::ALL
                .into_iter()
                .find(|operation| operation.name() == name)
                .ok_or_else(|| format!("there is no operation {name:?}"))?;
            let weight: u32 = weight
                .parse()
                .ok()
                .filter(|&weight| weight > 0)
                .ok_or_else(|| format!("{weight:?} is no weight such as 1 or 20"))?;
            if parts.iter().any(|&(other, _)| other == operation) {
                return Err(format!("{name} is there twice"));
            }
            parts.push((operation, weight));
        }
        let total = parts.iter().map(|&(_, weight)| u64::from(weight)).sum();
        Ok(Mix { parts, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_come_as_often_as_they_weigh() {
        let mix: Mix = "download:3,upload".parse().unwrap();
        let picked: Vec<&str> = (0..8).map(|random| mix.pick(random).name()).collect();
        let one = ["download", "download", "download", "upload"];
        assert_eq!(picked, [one, one].concat());
        assert!(mix.any(Operation::reads) && !mix.any(Operation::is_http));
    }

    #[test]
    fn a_mix_that_is_none_is_refused() {
        for bad in ["", "eat", "stat:0", "stat:x", "stat,stat:2", "stat,"] {
            assert!(bad.parse::<Mix>().is_err(), "{bad:?}");
        }
    }
}
