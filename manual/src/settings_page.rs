//! The page of a configuration, from its sample in `etc/`, which tests compare with the code.

use clap_mangen::roff::{Roff, bold, roman};

use crate::SOURCE;
use crate::samples::{SAMPLES, Sample};
use crate::settings::{Piece, is_example, pieces};

/// The pages of all configurations, by their file names.
pub(crate) fn all() -> Vec<(String, Vec<u8>)> {
    let page = |sample: &Sample| (format!("{}.5", sample.name), page(sample));
    SAMPLES.iter().map(page).collect()
}

fn page(sample: &Sample) -> Vec<u8> {
    let mut roff = Roff::new();
    roff.control("TH", [sample.name, "5", "", SOURCE, "tnv"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{} - {}", sample.name, sample.about))]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([roman(sample.path)]);
    roff.control("SH", ["DESCRIPTION"]);
    for piece in pieces(sample.text) {
        render(&mut roff, &piece);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(sample.see_also)]);
    roff.render().into_bytes()
}

fn render(roff: &mut Roff, piece: &Piece) {
    match piece {
        Piece::Text(about) => {
            // A setting without a default is an example at the end of its text.
            let is_text = |line: &&str| !is_example(line);
            let n_text = about.iter().rposition(is_text).map_or(0, |idx| idx + 1);
            let (text, examples) = about.split_at(n_text);
            if examples.is_empty() {
                roff.control("PP", []);
                explain(roff, text);
            } else {
                setting(roff, examples, text);
            }
        }
        Piece::Section { name, about } => {
            roff.control("SS", [*name]);
            explain(roff, about);
        }
        Piece::Setting { lines, about } => setting(roff, lines, about),
    }
}

/// The settings in bold, and what they mean below them.
fn setting(roff: &mut Roff, lines: &[&str], about: &[&str]) {
    roff.control("TP", []);
    let (last, first) = lines.split_last().unwrap_or((&"", &[]));
    for line in first {
        roff.text([bold(*line)]);
        roff.control("TQ", []);
    }
    roff.text([bold(*last)]);
    explain(roff, about);
}

fn explain(roff: &mut Roff, about: &[&str]) {
    for line in about {
        if is_example(line) {
            roff.control("br", []);
            roff.text([bold(*line)]);
            roff.control("br", []);
        } else {
            roff.text([roman(*line)]);
        }
    }
}

/// The sample that a page was made from.
#[cfg(test)]
pub(crate) fn sample(page: &str) -> &'static str {
    let is_it = |sample: &&Sample| page == format!("{}.5", sample.name);
    SAMPLES.iter().find(is_it).map_or("", |sample| sample.text)
}
