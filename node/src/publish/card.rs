//! A card for a folder that has none: a README.md whose YAML tells the clients of Hugging Face what to load.
//!
//! The `configs` name the files of the one format that these clients read ([`super::readers`]), split as
//! the files' names say, and apart where the files have other fields.

mod configs;

use std::{io::Write, path::PathBuf};

use globset::GlobSet;
use opendag_protocol::DatasetPath;

use self::configs::{Config, configs};
use super::walk::{Found, Walk};
use crate::{
    disk::{self, Access, DiskError},
    ops::{Event, PublishRequest},
};

/// What a card is called.
pub(super) const NAME: &str = "README.md";

/// Writes a card into the folder of a walk, unless there is one; it is one of the files then. It never
/// replaces a file.
///
/// # Errors
/// A sentence that says why there is none.
pub(super) fn write(
    request: &PublishRequest,
    walk: &mut Walk,
    exclude: &GlobSet,
) -> Result<Event, String> {
    let no = |why: &str| Err(format!("No card was written: {why}."));
    let path = walk.root.join(NAME);
    if !request.path.is_dir() {
        return no("what is published is no folder");
    }
    if exclude.is_match(NAME) {
        return no("--exclude leaves README.md out");
    }
    let Ok(name) = DatasetPath::parse(NAME) else {
        return no("its name has no place in a dataset");
    };
    let configs = configs(walk);
    let text = text(request, &configs);
    let written = disk::create_new(&path, Access::Umask).and_then(|mut file| {
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| file.sync_all());
        written.map_err(DiskError::io("write", &path))
    });
    match written {
        Ok(()) => {}
        Err(error) if error.is_taken() => {
            return no("the folder has a README.md, which is left as it is");
        }
        Err(error) => return no(&error.to_string()),
    }
    let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
    let at = walk.files.partition_point(|found| found.path < name);
    walk.files.insert(at, Found { path: name, size });
    Ok(event(path, text, &configs))
}

fn event(path: PathBuf, text: String, configs: &[Config]) -> Event {
    let configs = configs.iter().map(|config| config.name.clone()).collect();
    Event::Card {
        path,
        configs,
        text,
    }
}

/// The card.
fn text(request: &PublishRequest, configs: &[Config]) -> String {
    let title = request.title.as_ref().unwrap_or(&request.name);
    let mut lines = vec!["---".to_owned()];
    lines.extend(
        request
            .license
            .as_ref()
            .map(|it| format!("license: {}", quoted(&license(it)))),
    );
    lines.extend(
        request
            .title
            .as_ref()
            .map(|it| format!("pretty_name: {}", quoted(it))),
    );
    for (key, values) in [("language", &request.languages), ("tags", &request.tags)] {
        if !values.is_empty() {
            lines.push(format!("{key}:"));
            lines.extend(values.iter().map(|value| format!("- {}", quoted(value))));
        }
    }
    if !configs.is_empty() {
        lines.push("configs:".to_owned());
    }
    for (at, config) in configs.iter().enumerate() {
        lines.push(format!("- config_name: {}", quoted(&config.name)));
        if at == 0 && configs.len() > 1 {
            lines.push("  default: true".to_owned());
        }
        lines.push("  data_files:".to_owned());
        for (split, patterns) in &config.splits {
            lines.push(format!("  - split: {}", split.name()));
            lines.push("    path:".to_owned());
            lines.extend(
                patterns
                    .iter()
                    .map(|pattern| format!("    - {}", quoted(pattern))),
            );
        }
    }
    lines.push("---".to_owned());
    lines.push(format!("# {title}"));
    lines.extend(request.description.as_ref().map(|it| format!("\n{it}")));
    lines.join("\n") + "\n"
}

/// A licence as Hugging Face writes it: one of SPDX in lower case, or `other`.
pub(super) fn license(license: &str) -> String {
    match license.contains(' ') || license.starts_with("LicenseRef") {
        true => "other".to_owned(),
        false => license.to_ascii_lowercase(),
    }
}

/// Any text as a value of YAML, which takes JSON's strings.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
