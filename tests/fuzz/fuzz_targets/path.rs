//! Paths: what is accepted lies below any root, and is its own one name.
#![no_main]

use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use opendag_protocol::{
    DatasetPath,
    cbor::{from_slice_canonical, to_vec},
    limits::{PATH_BYTES_MAX, PATH_COMPONENT_BYTES_MAX},
    path::{WORKING_FOLDER, check_component},
};

fuzz_target!(|text: &str| {
    let path = match DatasetPath::parse(text) {
        Ok(path) => path,
        Err(error) => {
            // Whatever a stranger sent, it can be shown on one line of a terminal.
            let shown = error.to_string();
            assert!(
                !shown.chars().any(char::is_control) && shown.len() < 2000,
                "{shown:?}"
            );
            let encoded = to_vec(text).unwrap();
            assert!(from_slice_canonical::<DatasetPath>(&encoded).is_err());
            return;
        }
    };
    assert_eq!(path.as_str(), text);
    assert_eq!(DatasetPath::parse(path.as_str()).unwrap(), path);
    let encoded = to_vec(&path).unwrap();
    assert_eq!(from_slice_canonical::<DatasetPath>(&encoded).unwrap(), path);

    assert!(text.len() <= PATH_BYTES_MAX);
    assert!(!text.contains(['\\', ':', '\0', '\n', '\u{1b}', '\u{202e}']));
    let names: Vec<&str> = path.components().collect();
    assert_eq!(names.join("/"), text);
    assert!(!names[0].eq_ignore_ascii_case(WORKING_FOLDER));
    assert!(
        names
            .iter()
            .all(|name| name.len() <= PATH_COMPONENT_BYTES_MAX)
    );
    assert_eq!(names.last(), Some(&path.file_name()));
    let folder = path
        .folder()
        .map_or(String::new(), |folder| format!("{folder}/"));
    assert_eq!(format!("{folder}{}", path.file_name()), text);
    if let [name] = names[..] {
        assert!(check_component(name).is_ok());
    } else {
        assert!(check_component(text).is_err());
    }

    let root = Path::new("/srv/target");
    let below = root.join(text);
    let rest = below
        .strip_prefix(root)
        .expect("an accepted path lies below the root");
    assert_eq!(rest.components().count(), names.len());
    assert!(rest.components().zip(&names).all(|(component, name)| {
        matches!(component, Component::Normal(found) if found == *name)
    }));
});
