//! The page of a program, from what its command line accepts.

use std::io;

use clap::{Arg, ArgAction, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::{SOURCE, notes};

/// The pages of a command and of all its subcommands, by their file names. `more` follows the
/// command's own notes.
pub(crate) fn with_subcommands(
    command: Command,
    section: &str,
    more: &str,
) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    collect(&command, section, more, &mut pages)?;
    Ok(pages)
}

fn collect(
    command: &Command,
    section: &str,
    more: &str,
    pages: &mut Vec<(String, Vec<u8>)>,
) -> io::Result<()> {
    let man = Man::new(command.clone()).section(section);
    let name = man.get_filename();
    pages.push((
        name,
        page(&man.source(SOURCE).manual("tnv"), command, more)?,
    ));
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    for subcommand in shown {
        let top = format!("See also:\n  {}({section})\n", command.get_name());
        collect(subcommand, section, &top, pages)?;
    }
    Ok(())
}

fn page(man: &Man, command: &Command, more: &str) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    page.extend_from_slice(&synopsis(command));
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut roff = Roff::new();
    if let Some(text) = command.get_after_long_help().or(command.get_after_help()) {
        notes::render(&mut roff, &text.to_string());
    }
    notes::render(&mut roff, more);
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// The section SYNOPSIS. `clap_mangen` has one that leaves out the values of options.
fn synopsis(command: &Command) -> Vec<u8> {
    let mut line = vec![bold(command.get_bin_name().unwrap_or(command.get_name()))];
    let shown = || command.get_arguments().filter(|arg| !arg.is_hide_set());
    for arg in shown().filter(|arg| !arg.is_positional()) {
        line.push(roman(" "));
        line.extend(option(arg));
    }
    for arg in shown().filter(|arg| arg.is_positional()) {
        line.push(roman(" "));
        line.extend(bracketed(arg, values(arg)));
    }
    if command.has_subcommands() {
        line.extend([roman(" "), italic("COMMAND")]);
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text(line);
    roff.to_roff().into_bytes()
}

/// `[-o FILE]`: a short name where there is one.
fn option(arg: &Arg) -> Vec<Inline> {
    let long = arg.get_long().map(|name| format!("--{name}"));
    let name = arg.get_short().map(|name| format!("-{name}")).or(long);
    let mut parts = vec![bold(name.unwrap_or_default())];
    if matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) {
        parts.push(roman(" "));
        parts.extend(values(arg));
    }
    bracketed(arg, parts)
}

fn values(arg: &Arg) -> Vec<Inline> {
    let names = arg.get_value_names().unwrap_or_default();
    let mut parts = vec![italic(names.join(" "))];
    let repeats = arg
        .get_num_args()
        .is_some_and(|n| n.max_values() > names.len());
    if repeats || matches!(arg.get_action(), ArgAction::Append) {
        parts.push(roman("..."));
    }
    parts
}

fn bracketed(arg: &Arg, parts: Vec<Inline>) -> Vec<Inline> {
    if arg.is_required_set() {
        return parts;
    }
    let open = [roman("[")].into_iter();
    open.chain(parts).chain([roman("]")]).collect()
}
