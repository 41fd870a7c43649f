//! What licences ask in general, by their SPDX identifiers.

use spdx::{LicenseItem, LicenseReq};

/// Licences under which data may become anything, with attribution at most: those that data and the
/// text around them are commonly published under.
const FREE: [&str; 32] = [
    "0BSD",
    "AFL-3.0",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CC-PDDC",
    "CC-PDM-1.0",
    "CDLA-Permissive-1.0",
    "CDLA-Permissive-2.0",
    "DL-DE-BY-2.0",
    "DL-DE-ZERO-2.0",
    "ECL-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "NCSA",
    "NLOD-1.0",
    "NLOD-2.0",
    "O-UDA-1.0",
    "ODC-By-1.0",
    "OGL-Canada-2.0",
    "OGL-UK-1.0",
    "OGL-UK-2.0",
    "OGL-UK-3.0",
    "PDDL-1.0",
    "PostgreSQL",
    "Unlicense",
    "WTFPL",
    "Zlib",
    "etalab-2.0",
];

/// Licences beside Creative Commons' and GNU's that ask for the same licence.
const ALIKE: [&str; 4] = ["ODbL-1.0", "CDLA-Sharing-1.0", "LAL-1.2", "LAL-1.3"];

/// What Creative Commons lists as compatible with CC-BY-SA-4.0, in this direction.
const COMPATIBLE_WITH_BY_SA_4: [&str; 3] = ["GPL-3.0-only", "GPL-3.0-or-later", "LAL-1.3"];

/// What must happen to the licence of what is made from a work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// Anything.
    Free,
    /// It stays.
    Alike,
    /// It stays for the files that are changed, but not for a larger work that has them in it: which of
    /// both derived data are, no identifier tells.
    Files,
}

/// What a licence asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// May it be used commercially?
    pub(super) commercial: bool,
    /// May what is made from it be published?
    pub(super) derivatives: bool,
    pub(super) share: Share,
}

impl Terms {
    /// What a licence asks, if this program knows. An exception changes what is asked in ways that no
    /// table here knows.
    pub(super) fn of(license: &LicenseReq) -> Option<Self> {
        let id = license.license.id()?;
        if license.addition.is_some() {
            return None;
        }
        let terms = |share| Self {
            commercial: true,
            derivatives: true,
            share,
        };
        let name = id.name;
        if let Some(elements) = name.strip_prefix("CC-BY-") {
            let has = |element| elements.split('-').any(|found| found == element);
            let share = if has("SA") { Share::Alike } else { Share::Free };
            return Some(Self {
                commercial: !has("NC"),
                derivatives: !has("ND"),
                share,
            });
        }
        let strong = ["GPL-", "AGPL-", "GFDL-", "CC-SA-"];
        if FREE.contains(&name) {
            Some(terms(Share::Free))
        } else if ALIKE.contains(&name) || strong.iter().any(|begins| name.starts_with(begins)) {
            Some(terms(Share::Alike))
        } else if id.is_copyleft() {
            Some(terms(Share::Files))
        } else {
            None
        }
    }

    /// May what is under it become anything?
    pub(super) fn is_free(self) -> bool {
        self.commercial && self.derivatives && self.share == Share::Free
    }
}

/// An identifier taken apart: `GPL-2.0-or-later` is the family `GPL`, 2.0 and what stands behind it.
#[derive(Debug, PartialEq, Eq)]
struct Parts<'a> {
    family: &'a str,
    version: (u32, u32),
    rest: &'a str,
}

fn parts(name: &str) -> Option<Parts<'_>> {
    let starts = |(at, _): &(usize, &str)| {
        let next = name.get(at + 1..).and_then(|rest| rest.chars().next());
        next.is_some_and(|next| next.is_ascii_digit())
    };
    let (at, _) = name.match_indices('-').find(starts)?;
    let (family, rest) = (name.get(..at)?, name.get(at + 1..)?);
    let (version, rest) = rest.split_once('-').unwrap_or((rest, ""));
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    Some(Parts {
        family,
        version: (major.parse().ok()?, minor.parse().ok()?),
        rest,
    })
}

/// Is `offered` the licence `given`, or another that it names as good as itself?
pub(super) fn is_same_or_later(given: &LicenseReq, offered: &LicenseReq) -> bool {
    let (
        LicenseItem::Spdx {
            id: given_id,
            or_later,
        },
        LicenseItem::Spdx { id: offered_id, .. },
    ) = (&given.license, &offered.license)
    else {
        return false;
    };
    let (given, offered) = (given_id.name, offered_id.name);
    if given == offered {
        return true;
    }
    if given == "CC-BY-SA-4.0" && COMPATIBLE_WITH_BY_SA_4.contains(&offered) {
        return true;
    }
    let (Some(given), Some(offered)) = (parts(given), parts(offered)) else {
        return false;
    };
    if given.family != offered.family {
        return false;
    }
    // The first licences of Creative Commons name no later ones; those of other countries are the same.
    let names_later = *or_later
        || given.rest == "or-later"
        || given.family.starts_with("CC-") && given.version.0 >= 2;
    if names_later {
        offered.version >= given.version
    } else {
        offered.version == given.version && offered.rest == given.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_of_the_table_are_in_the_list() {
        for name in FREE.iter().chain(&ALIKE).chain(&COMPATIBLE_WITH_BY_SA_4) {
            assert!(spdx::license_id(name).is_some(), "{name}");
        }
    }

    #[test]
    fn identifiers_are_taken_apart() {
        let gpl = parts("GPL-2.0-or-later").unwrap();
        assert_eq!(
            (gpl.family, gpl.version, gpl.rest),
            ("GPL", (2, 0), "or-later")
        );
        let country = parts("CC-BY-NC-SA-2.5-DE");
        assert!(country.is_none_or(|parts| parts.family == "CC-BY-NC-SA" && parts.rest == "DE"));
        assert_eq!(parts("MIT"), None);
    }
}
