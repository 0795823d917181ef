//! `pipeline completions`: what shells and `man` are to know of the command line, made of its own definition.

use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::cli::{Cli, Completions};
use crate::error::{Error, Kind, Result};

const PROGRAM: &str = "pipeline";
/// The section of a page that holds what stands behind the options in the help text.
const NOTES: &str = ".SH EXTRA";

pub(super) fn run(args: &Completions) -> Result<()> {
    if let Some(shell) = args.shell {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), PROGRAM, &mut script);
        say!("{}", String::from_utf8_lossy(&script).trim_end());
    }
    args.man.iter().try_for_each(|folder| write_pages(folder))
}

fn write_pages(folder: &Path) -> Result<()> {
    let mut program = Cli::command();
    program.build();
    std::fs::create_dir_all(folder)
        .and_then(|()| write_page(&program, folder))
        .map_err(|error| Error::new(Kind::Failed, format!("cannot write man pages into {}: {error}", folder.display())))?;
    note!("wrote man pages into {}", folder.display());
    Ok(())
}

/// Writes the page of a command, and those of the commands under it.
fn write_page(command: &Command, folder: &Path) -> std::io::Result<()> {
    let man = Man::new(command.clone()).source(concat!("pipeline ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render(&mut page)?;
    std::fs::write(folder.join(man.get_filename()), with_lines_kept(&String::from_utf8_lossy(&page)))?;
    command.get_subcommands().try_for_each(|under| write_page(under, folder))
}

/// The page with its notes as the help text has them: `man` would run examples and tables together into paragraphs.
fn with_lines_kept(page: &str) -> String {
    let (mut kept, mut in_notes, mut in_example) = (String::new(), false, false);
    for line in page.lines() {
        if line.starts_with(".SH") {
            in_notes = line == NOTES;
        }
        let is_example = in_notes && line.starts_with("  ");
        match (in_example, is_example) {
            (false, true) => kept.push_str(".nf\n"),
            (true, false) => kept.push_str(".fi\n"),
            _ => {}
        }
        in_example = is_example;
        kept.push_str(if line == NOTES { ".SH NOTES" } else { line });
        kept.push('\n');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_keep_their_lines_and_paragraphs_do_not() {
        let page = ".SH NAME\n  x\n.SH EXTRA\nSo:\n  a b\n  c\n\nOr so.\n.SH VERSION\nv1";
        let kept = with_lines_kept(page);
        assert_eq!(kept, ".SH NAME\n  x\n.SH NOTES\nSo:\n.nf\n  a b\n  c\n.fi\n\nOr so.\n.SH VERSION\nv1\n");
    }

    #[test]
    fn the_command_line_is_well_defined() {
        Cli::command().debug_assert();
    }
}
