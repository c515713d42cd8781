//! The page of a script, from what it says of its usage.

use clap_mangen::roff::{Roff, roman};

use crate::{SOURCE, notes};

const SCRIPT: &str = include_str!("../../etc/tnv-rolling-restart");
const NAME: &str = "tnv-rolling-restart";
const ABOUT: &str = "restarts services of a tnv cluster one after another";

/// The page of `tnv-rolling-restart` by its file name.
pub(crate) fn rolling_restart(more: &str) -> (String, Vec<u8>) {
    let (synopsis, text) = usage();
    let mut roff = Roff::new();
    roff.control("TH", [NAME, "8", "", SOURCE, "tnv"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{NAME} - {ABOUT}"))]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([roman(synopsis)]);
    notes::render(&mut roff, &format!("Description:{text}\n"));
    notes::render(&mut roff, more);
    (format!("{NAME}.8"), roff.render().into_bytes())
}

/// The first line of the script's usage without its beginning, and the rest.
fn usage() -> (&'static str, &'static str) {
    let (_, text) = SCRIPT.split_once("usage: ").unwrap_or_default();
    let (text, _) = text.split_once("\nEOF\n").unwrap_or_default();
    text.split_at(text.find('\n').unwrap_or(text.len()))
}
