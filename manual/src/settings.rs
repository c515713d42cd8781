//! The settings of a sample configuration, with what its comments say of them.
//!
//! Of a sample, `# text` is a comment, `#key = value` a setting that is commented out, `# key =
//! value` an example, and an empty line ends what belongs together.

/// A piece of a sample, in its order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A comment that belongs to no setting.
    Text(Vec<&'a str>),
    /// `[name]`.
    Section {
        /// With its brackets.
        name: &'a str,
        /// The comment in front of it.
        about: Vec<&'a str>,
    },
    /// A setting, or several that share a comment.
    Setting {
        /// As they stand, `key = value`, without the mark in front.
        lines: Vec<&'a str>,
        /// The comment in front of them.
        about: Vec<&'a str>,
    },
}

/// Takes a sample to pieces.
pub(crate) fn pieces(sample: &str) -> Vec<Piece<'_>> {
    let lines: Vec<&str> = sample.lines().map(str::trim_end).collect();
    let blocks = lines.split(|line| line.is_empty());
    blocks
        .filter(|block| !block.is_empty())
        .map(piece)
        .collect()
}

fn piece<'a>(block: &[&'a str]) -> Piece<'a> {
    let is_comment = |line: &&&str| **line == "#" || line.starts_with("# ");
    let comments = block.iter().take_while(is_comment).count();
    let (about, rest) = block.split_at(comments);
    let about = about
        .iter()
        .map(|line| line.trim_start_matches('#').trim_start());
    let about = about.collect();
    let bare = |line: &&'a str| line.strip_prefix('#').unwrap_or(line);
    let lines: Vec<&str> = rest.iter().map(bare).collect();
    match lines.first() {
        None => Piece::Text(about),
        Some(name) if name.starts_with('[') => Piece::Section { name, about },
        Some(_) => Piece::Setting { lines, about },
    }
}

/// Whether a line of a comment is an example of a setting.
pub(crate) fn is_example(line: &str) -> bool {
    let key = line.split(" = ").next().unwrap_or(line);
    key != line && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}
