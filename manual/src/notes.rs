//! Text below the options: headings that end with a colon, paragraphs, and indented lines that are
//! shown as they stand. It is the form of `--help`.

use clap_mangen::roff::{Roff, roman};

/// Adds `text` to the page, with a section for each heading; what stands before the first one
/// becomes NOTES.
pub(crate) fn render(roff: &mut Roff, text: &str) {
    let mut has_heading = false;
    let mut is_verbatim = false;
    for line in text.lines() {
        let indented = line.strip_prefix("  ");
        if is_verbatim != indented.is_some() && !line.is_empty() {
            is_verbatim = !is_verbatim;
            let request = if is_verbatim { "nf" } else { "fi" };
            roff.control(request, []);
        }
        if let Some(heading) = line.strip_suffix(':').filter(|_| !is_verbatim) {
            roff.control("SH", [heading.to_uppercase().as_str()]);
            has_heading = true;
        } else if line.is_empty() {
            roff.control("PP", []);
        } else {
            if !has_heading {
                roff.control("SH", ["NOTES"]);
                has_heading = true;
            }
            roff.text([roman(indented.unwrap_or(line))]);
        }
    }
    if is_verbatim {
        roff.control("fi", []);
    }
}
