//! The page of a program, from what its command line accepts.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::Roff;

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
    man.render_synopsis_section(&mut page)?;
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
