//! The program: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use pipeline::cli::Cli;
use pipeline::commands;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => match commands::run(cli) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => commands::failure(&error),
        },
        Err(usage) => commands::usage(&usage),
    }
}
