use super::*;

fn of(given: &str, offered: &str) -> Fit {
    fit(Some(given), Some(offered))
}

fn asks(given: &str, offered: &str) -> Option<Asks> {
    match of(given, offered) {
        Fit::Contradicts(clash) => Some(clash.asks),
        Fit::Fits | Fit::Unknown(_) => None,
    }
}

fn is_unknown(given: &str, offered: &str) -> bool {
    matches!(of(given, offered), Fit::Unknown(_))
}

#[test]
fn what_is_free_may_become_anything() {
    for given in ["CC0-1.0", "CC-BY-4.0", "MIT", "ODC-By-1.0", "CC-BY-3.0-IGO"] {
        for offered in ["MIT", "CC-BY-NC-ND-4.0", "LicenseRef-mine", "GPL-3.0-only"] {
            assert_eq!(of(given, offered), Fit::Fits, "{given} {offered}");
        }
    }
}

#[test]
fn nothing_is_made_from_what_allows_no_derivatives() {
    for given in ["CC-BY-ND-4.0", "CC-BY-NC-ND-3.0"] {
        for offered in [given, "LicenseRef-mine", "CC0-1.0"] {
            assert_eq!(
                asks(given, offered),
                Some(Asks::NoDerivatives),
                "{given} {offered}"
            );
        }
    }
}

#[test]
fn what_excludes_commerce_stays_so() {
    let noncommercial = Some(Asks::NonCommercial);
    assert_eq!(asks("CC-BY-NC-4.0", "CC-BY-4.0"), noncommercial);
    assert_eq!(asks("CC-BY-NC-4.0", "GPL-3.0-only"), noncommercial);
    assert_eq!(asks("CC-BY-NC-SA-4.0", "CC-BY-SA-4.0"), noncommercial);
    assert_eq!(asks("CC-BY-NC-4.0", "CC-BY-ND-4.0"), noncommercial);
    assert_eq!(of("CC-BY-NC-4.0", "CC-BY-NC-2.0"), Fit::Fits);
    assert_eq!(of("CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"), Fit::Fits);
    assert!(is_unknown("CC-BY-NC-4.0", "LicenseRef-mine"));
}

#[test]
fn what_is_shared_alike_keeps_its_licence_or_a_later_one() {
    let alike = Some(Asks::ShareAlike);
    assert_eq!(asks("CC-BY-SA-4.0", "MIT"), alike);
    assert_eq!(asks("CC-BY-SA-4.0", "CC-BY-4.0"), alike);
    assert_eq!(asks("CC-BY-SA-4.0", "CC-BY-SA-3.0"), alike);
    assert_eq!(asks("ODbL-1.0", "CC-BY-SA-4.0"), alike);
    assert_eq!(asks("CC-BY-NC-SA-4.0", "CC-BY-NC-4.0"), alike);
    assert_eq!(asks("GPL-2.0-only", "GPL-3.0-only"), alike);
    assert_eq!(asks("GPL-2.0-only", "GPL-2.0-or-later"), alike);
    assert_eq!(
        asks("GPL-3.0-only", "CC-BY-SA-4.0"),
        alike,
        "compatible in one direction"
    );
    assert_eq!(
        asks("CC-BY-SA-1.0", "CC-BY-SA-2.0"),
        alike,
        "it names no later one"
    );
    for (given, offered) in [
        ("CC-BY-SA-4.0", "CC-BY-SA-4.0"),
        ("CC-BY-SA-3.0", "CC-BY-SA-4.0"),
        ("CC-BY-SA-2.0", "CC-BY-SA-3.0-DE"),
        ("CC-BY-SA-4.0", "GPL-3.0-or-later"),
        ("GPL-2.0-or-later", "GPL-3.0-only"),
        ("ODbL-1.0", "ODbL-1.0"),
    ] {
        assert_eq!(of(given, offered), Fit::Fits, "{given} {offered}");
    }
    assert!(is_unknown("CC-BY-SA-4.0", "LicenseRef-mine"));
}

#[test]
fn what_no_table_knows_is_said_to_be_unknown() {
    assert!(
        is_unknown("LicenseRef-mine", "LicenseRef-mine"),
        "another publisher's own terms"
    );
    assert!(
        is_unknown("C-UDA-1.0", "MIT"),
        "a listed licence that is in no table"
    );
    assert!(is_unknown("Not-A-Licence", "MIT"));
    assert!(is_unknown("CC-BY-SA-4.0", "Not-A-Licence"));
    assert!(is_unknown(
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "MIT"
    ));
    assert!(
        is_unknown("MPL-2.0", "MIT"),
        "whether it is a larger work is not known"
    );
    assert_eq!(of("MPL-2.0", "MPL-2.0"), Fit::Fits);
    assert_eq!(fit(None, Some("MIT")), Fit::Unknown(Doubt::Missing));
    assert_eq!(fit(Some("MIT"), None), Fit::Unknown(Doubt::Missing));
}

#[test]
fn expressions_are_choices_and_sums() {
    // The publisher chose the one that fits; whoever gets it may choose either.
    assert_eq!(of("CC-BY-SA-4.0 OR MIT", "Apache-2.0"), Fit::Fits);
    assert_eq!(
        asks("CC-BY-SA-4.0", "CC-BY-SA-4.0 OR MIT"),
        Some(Asks::ShareAlike)
    );
    // Both must be kept; what has two parts keeps what either keeps.
    assert_eq!(asks("MIT AND CC-BY-SA-4.0", "MIT"), Some(Asks::ShareAlike));
    assert_eq!(
        of("MIT AND CC-BY-SA-4.0", "CC-BY-SA-4.0 AND MIT"),
        Fit::Fits
    );
    assert!(is_unknown("LicenseRef-a AND MIT", "MIT"));
    assert_eq!(of("LicenseRef-a OR MIT", "MIT"), Fit::Fits);
    let deep = format!("{}MIT{}", "(".repeat(200), ")".repeat(200));
    assert_eq!(of(&deep, "MIT"), Fit::Fits);
}

#[test]
fn a_contradiction_is_a_sentence() {
    let Fit::Contradicts(clash) = of("CC-BY-NC-4.0", "MIT") else {
        panic!("it fits")
    };
    assert_eq!(
        clash.to_string(),
        "CC-BY-NC-4.0 excludes commercial use, which MIT allows"
    );
}
