//! Completions and manual pages, made from the arguments' definition.

use std::path::Path;

use clap::CommandFactory;

use crate::{args::Cli, error::CliError, output::Output};

/// Prints the completions of `shell`.
pub(crate) fn completions(shell: clap_complete::Shell, output: &Output) -> Result<(), CliError> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "opendag", &mut text);
    output.document(&text);
    Ok(())
}

/// Prints the first manual page, or writes those of all commands into `dir`.
pub(crate) fn man(dir: Option<&Path>, output: &Output) -> Result<(), CliError> {
    let Some(dir) = dir else {
        let mut text = Vec::new();
        let rendered = clap_mangen::Man::new(Cli::command()).render(&mut text);
        rendered.map_err(|error| CliError::failed("The manual page cannot be made", &error))?;
        output.document(&text);
        return Ok(());
    };
    let written =
        std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir));
    written.map_err(|error| {
        CliError::Failed(format!(
            "The pages cannot be written to \"{}\": {error}.",
            dir.display()
        ))
    })?;
    output.note(&format!("Manual pages are in {}.", dir.display()));
    Ok(())
}
