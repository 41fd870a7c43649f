//! The documents say what is there: links lead to files, and the README's commands exist.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use opendag_tests::tree;

use crate::common::world;

fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the workspace")
}

fn documents() -> Result<Vec<PathBuf>> {
    let root = root()?;
    let mut found = tree::paths(&root.join("specs"))?;
    found.extend(
        [
            "README.md",
            "ARCHITECTURE.md",
            "CONTRIBUTING.md",
            "CHANGELOG.md",
            "tests/README.md",
        ]
        .map(|name| root.join(name)),
    );
    found.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    Ok(found)
}

#[test]
fn links_between_documents_lead_somewhere() -> Result<()> {
    let mut links = 0;
    for document in documents()? {
        let text = fs::read_to_string(&document)?;
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if target.contains("://") || target.starts_with('#') {
                continue;
            }
            let file = target.split('#').next().unwrap_or_default();
            let path = document.parent().context("a folder")?.join(file);
            ensure!(
                path.exists(),
                "{} links to {target}, which is not there",
                document.display()
            );
            links += 1;
        }
    }
    ensure!(
        links > 10,
        "only {links} links were found: the search is wrong"
    );
    Ok(())
}

/// The paths that `{a,b}` in a text stands for.
fn expand(text: &str) -> Vec<String> {
    match text
        .split_once('{')
        .and_then(|(head, rest)| Some((head, rest.split_once('}')?)))
    {
        Some((head, (names, tail))) => names
            .split(',')
            .map(|name| format!("{head}{name}{tail}"))
            .collect(),
        None => vec![text.to_owned()],
    }
}

#[test]
fn the_map_names_files_that_exist() -> Result<()> {
    let root = root()?;
    let text = fs::read_to_string(root.join("ARCHITECTURE.md"))?;
    let crates = ["protocol/", "node/", "cli/", "testnet/", "tests/", "specs/"];
    let quoted = text.split('`').skip(1).step_by(2);
    let paths: Vec<_> = quoted
        .filter(|text| crates.iter().any(|name| text.starts_with(name)))
        .flat_map(expand)
        .collect();
    ensure!(paths.len() > 20, "only {paths:?}");
    for path in paths {
        let module = root.join(format!("{path}.rs"));
        ensure!(
            root.join(&path).exists() || module.exists(),
            "the map names {path}, which is not there"
        );
    }
    Ok(())
}

/// Every `opendag …` line of the README's code blocks, without its comment.
fn commands() -> Result<Vec<String>> {
    let text = fs::read_to_string(root()?.join("README.md"))?;
    let blocks = text.split("```").skip(1).step_by(2);
    let lines = blocks
        .flat_map(str::lines)
        .filter(|line| line.starts_with("opendag "));
    Ok(lines
        .map(|line| line.split(['#', '>']).next().unwrap_or_default().to_owned())
        .collect())
}

#[test]
fn the_readme_names_commands_and_options_that_exist() -> Result<()> {
    let world = world()?;
    let node = world.node("reader");
    let found = commands()?;
    ensure!(found.len() > 5, "only {found:?}");
    for line in found {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let help = |command: &[&str]| -> Result<String> {
            let output = node.command(command.iter().chain(&["--help"])).output()?;
            ensure!(
                output.status.success(),
                "`{line}`: there is no such command"
            );
            Ok(String::from_utf8(output.stdout)?)
        };
        let command = *words.first().with_context(|| line.clone())?;
        let mut help_text = help(&[command])?;
        if help_text.contains("\nCommands:\n") {
            let below = *words.get(1).with_context(|| line.clone())?;
            help_text = help(&[command, below])?;
        }
        for option in words.iter().filter(|word| word.starts_with("--")) {
            ensure!(
                help_text.contains(option),
                "`{line}`: `{command}` has no {option}"
            );
        }
    }
    Ok(())
}

#[test]
fn the_readme_shows_a_configuration_that_is_accepted() -> Result<()> {
    let text = fs::read_to_string(root()?.join("README.md"))?;
    let block = text
        .split("```toml")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    // A peer id that ends in dots is one for readers only.
    let lines = block
        .context("a configuration")?
        .lines()
        .filter(|line| !line.contains('…'));
    let world = world()?;
    let node = world.node("reader");
    node.config(&lines.collect::<Vec<_>>().join("\n"))?;
    node.run(["ls"])?.ok()?;
    Ok(())
}
