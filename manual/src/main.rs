//! `tnv-manual FOLDER`: writes the man pages of all programs and configurations of tnv, and the
//! shell completion of its command line. `tnv-manual --reference FILE`: writes the reference of the
//! configurations, `docs/configuration.md`. Part of the build, not of what is installed.

mod command_page;
mod daemons;
mod notes;
mod reference;
mod samples;
mod script_page;
mod settings;
mod settings_page;
mod wrap;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap_complete::Shell;

/// The line at the foot of every page.
const SOURCE: &str = concat!("tnv ", env!("CARGO_PKG_VERSION"));

fn main() -> anyhow::Result<()> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    match &args[..] {
        [option, file] if option == "--reference" => {
            put(Path::new(file), reference::reference()?.as_bytes())
        }
        [folder] if folder != "--reference" => write_all(Path::new(folder)),
        _ => bail!("usage: tnv-manual FOLDER | --reference FILE"),
    }
}

/// Everything, in `man/` and `completion/` of the folder, which are made anew.
fn write_all(folder: &Path) -> anyhow::Result<()> {
    let man = fresh(folder.join("man"))?;
    for (name, page) in pages()? {
        put(&man.join(name), &page)?;
    }
    let completion = fresh(folder.join("completion"))?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let mut command = cli::command();
        clap_complete::generate_to(shell, &mut command, "tnv", &completion)
            .with_context(|| format!("cannot write to {}", completion.display()))?;
    }
    Ok(())
}

/// All man pages by their file names.
fn pages() -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut pages = command_page::with_subcommands(cli::command(), "1", &notes_of_tnv())?;
    for daemon in daemons::all() {
        pages.extend(command_page::with_subcommands(daemon, "8", daemons::NOTES)?);
    }
    pages.push(script_page::rolling_restart("See also:\n  tnv(1)\n"));
    pages.extend(settings_page::all());
    Ok(pages)
}

fn notes_of_tnv() -> String {
    let names: Vec<&str> = daemons::NAMES.to_vec();
    format!("See also:\n  tnv.toml(5), {}(8)\n", names.join("(8), "))
}

fn fresh(folder: PathBuf) -> anyhow::Result<PathBuf> {
    // A page that no longer exists must not be installed.
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn put(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests;
