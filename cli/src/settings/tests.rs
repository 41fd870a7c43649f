use std::{fs, path::Path};

use super::*;

fn settings(dir: &Path) -> Settings {
    Settings {
        data_dir: dir.to_owned(),
        ..Settings::default()
    }
}

fn refused(settings: &Settings) -> String {
    match settings.config() {
        Err(CliError::Input(message)) => message,
        other => panic!("not refused as bad input: {other:?}"),
    }
}

#[test]
fn options_stand_above_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file =
        "network = \"one\"\nbootstrap = [\"/ip4/192.0.2.1/tcp/1\"]\nupload_limit = \"1kB\"\n";
    fs::write(dir.path().join("config.toml"), file).unwrap();
    let mut settings = settings(dir.path());
    let config = settings.config().unwrap();
    assert_eq!(
        (config.network.as_str(), config.upload_limit),
        ("one", Some(1000))
    );
    settings.network = Some("two".to_owned());
    settings.listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    settings.bootstrap = vec!["/ip4/192.0.2.2/tcp/2".to_owned()];
    settings.upload_limit = Some("2kB".to_owned());
    settings.gateway = Some(([127, 0, 0, 1], 8080).into());
    let config = settings.config().unwrap();
    assert_eq!(
        (config.network.as_str(), config.upload_limit),
        ("two", Some(2000))
    );
    assert_eq!((config.listen.len(), config.bootstrap.len()), (1, 2));
    assert_eq!(
        (config.gateway, config.download_limit),
        (settings.gateway, None)
    );
}

#[test]
fn no_file_means_defaults_unless_it_was_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path());
    assert_eq!(settings.config().unwrap(), Config::default());
    settings.config = Some(dir.path().join("other.toml"));
    assert!(refused(&settings).contains("other.toml"));
}

#[test]
fn p8_bad_values_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let good = settings(dir.path());
    let bad = Settings {
        listen: vec!["nowhere".to_owned()],
        ..good.clone()
    };
    assert!(refused(&bad).contains("nowhere"));
    let bad = Settings {
        bootstrap: vec!["here".to_owned()],
        ..good.clone()
    };
    assert!(refused(&bad).contains("--bootstrap"));
    let bad = Settings {
        upload_limit: Some("fast".to_owned()),
        ..good.clone()
    };
    assert!(refused(&bad).contains("fast"));
    let bad = Settings {
        network: Some("A B".to_owned()),
        ..good.clone()
    };
    assert!(refused(&bad).contains("A B"));
    fs::write(dir.path().join("config.toml"), "no_such_key = 1").unwrap();
    assert!(refused(&good).contains("no_such_key"));
}
