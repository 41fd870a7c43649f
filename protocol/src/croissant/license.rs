//! Licences as descriptions name them: pages, identifiers of several lists, words.

use spdx::identifiers::LICENSES;

/// What begins a name for terms that no list has.
const REF: &str = "LicenseRef-";
/// Characters of such a name.
const REF_CHARS_MAX: usize = 200;

/// The SPDX expression for what a document says: of the SPDX list if it is there, else `LicenseRef-` and
/// what it says, in letters, digits, `.` and `-`.
pub(super) fn expression(said: &str) -> String {
    let said = said.trim();
    if spdx::Expression::parse(said).is_ok() {
        return said.to_owned();
    }
    let address = said.split_once("://").map_or(said, |(_, rest)| rest);
    let address = address.strip_prefix("www.").unwrap_or(address);
    let address = address.trim_end_matches('/');
    by_page(address)
        .or_else(|| by_name(address.rsplit('/').next().unwrap_or_default()))
        .unwrap_or_else(|| own(address))
}

/// The licence of a page of its authors, whose last part is no name.
fn by_page(address: &str) -> Option<String> {
    let address = address.to_ascii_lowercase();
    if let Some(rest) = address.strip_prefix("creativecommons.org/") {
        let mut parts = rest.split('/');
        let (list, kind, version) = (parts.next()?, parts.next()?, parts.next()?);
        return match (list, kind) {
            ("licenses", kind) => by_name(&format!("cc-{kind}-{version}")),
            ("publicdomain", "zero") => by_name(&format!("cc0-{version}")),
            ("publicdomain", "mark") => by_name(&format!("cc-pdm-{version}")),
            _ => None,
        };
    }
    if let Some(rest) = address.strip_prefix("opendatacommons.org/licenses/") {
        let kind = rest.split('/').next()?;
        return by_name(&format!(
            "{}-1.0",
            if kind == "by" { "odc-by" } else { kind }
        ));
    }
    if address.starts_with("apache.org/licenses/license-2.0") {
        return by_name("apache-2.0");
    }
    None
}

/// The identifier of the SPDX list, whatever its case, and with the ending of a page.
fn by_name(name: &str) -> Option<String> {
    let endings = [".html", ".json", ".txt", ".php"];
    let name = endings
        .into_iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(name);
    let mut known = LICENSES.iter().map(|license| license.name);
    known
        .find(|known| known.eq_ignore_ascii_case(name) && spdx::Expression::parse(known).is_ok())
        .map(str::to_owned)
}

/// A name of the document's own.
fn own(said: &str) -> String {
    let allowed = |char: char| match char {
        char if char.is_ascii_alphanumeric() || ".-".contains(char) => char,
        _ => '-',
    };
    let name: String = said.chars().take(REF_CHARS_MAX).map(allowed).collect();
    match name.trim_matches('-') {
        "" => format!("{REF}unnamed"),
        name => format!("{REF}{name}"),
    }
}
