use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("config.toml"))
}

#[test]
fn every_key_is_optional() {
    assert_eq!(parse("").unwrap(), Config::default());
    assert_eq!(Config::default().listen.len(), 4);
}

#[test]
fn all_keys_are_read() {
    let text = r#"
        network = "my-net"
        listen = ["/ip4/127.0.0.1/tcp/0"]
        bootstrap = []
        upload_limit = "20MB/s"
        download_limit = "1 GiB"
        head_lifetime = "7d"
        mdns = false
        dht = false
        api = "[::1]:8482"
        gateway = "127.0.0.1:8480"
        gateway_cors_origins = ["https://app.example", "http://localhost:3000"]
    "#;
    let config = parse(text).unwrap();
    assert_eq!(config.network, "my-net");
    assert_eq!(config.listen, ["/ip4/127.0.0.1/tcp/0".parse().unwrap()]);
    assert_eq!(config.upload_limit, Some(20_000_000));
    assert_eq!(config.download_limit, Some(1 << 30));
    assert_eq!(config.head_lifetime, Duration::from_secs(7 * 86_400));
    assert!(!config.mdns && !config.dht);
    let origins = ["https://app.example", "http://localhost:3000"];
    assert_eq!(config.gateway_cors_origins, origins);
    assert_eq!(config.api, Some("[::1]:8482".parse().unwrap()));
    assert_eq!(config.gateway, Some("127.0.0.1:8480".parse().unwrap()));
}

#[test]
fn p8_what_is_wrong_is_named() {
    let cases = [
        ("colour = 1", "colour"),
        ("[limits]\npeers = 3", "limits"),
        ("network = \"Main Net\"", "Main Net"),
        ("network = 3", "network"),
        ("listen = \"/ip4/127.0.0.1/tcp/0\"", "listen"),
        ("bootstrap = [\"example.org\"]", "example.org"),
        ("upload_limit = 5", "upload_limit"),
        ("upload_limit = \"fast\"", "fast"),
        ("upload_limit = \"0MB\"", "0MB"),
        (
            "download_limit = \"99999999999999999999GB\"",
            "download_limit",
        ),
        ("head_lifetime = \"1s\"", "head_lifetime"),
        ("mdns = \"yes\"", "mdns"),
        ("gateway = \"nowhere\"", "gateway"),
        ("gateway_cors_origins = [\"*\"]", "*"),
        (
            "gateway_cors_origins = [\"https://app.example/\"]",
            "app.example/",
        ),
        (
            "gateway_cors_origins = [\"https://App.example\"]",
            "App.example",
        ),
        ("gateway_cors_origins = [\"https://\"]", "https://"),
        ("gateway_cors_origins = [\"null\"]", "null"),
        ("network =", "config.toml"),
    ];
    for (text, word) in cases {
        let message = parse(text).unwrap_err().to_string();
        assert!(message.contains(word), "{text}: {message}");
    }
}

#[test]
fn numbers_of_bytes_need_a_unit() {
    let good = [
        ("1B", 1),
        ("500kB", 500_000),
        (" 20 MB ", 20_000_000),
        ("3MiB/s", 3 << 20),
        ("16777215TiB", 16_777_215 << 40),
    ];
    for (text, bytes) in good {
        assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
    }
    for text in [
        "",
        "20",
        "MB",
        "-1MB",
        "1.5MB",
        "20mb",
        "20MB MB",
        "16777216TiB",
        "0B",
    ] {
        assert!(parse_bytes(text).is_err(), "{text}");
    }
}

#[test]
fn a_missing_file_is_no_error_and_a_folder_is() {
    let dir = tempfile::TempDir::new().unwrap();
    assert_eq!(Config::load(&dir.path().join("none")).unwrap(), None);
    assert!(matches!(
        Config::load(dir.path()),
        Err(ConfigError::Read { .. })
    ));
    let path = dir.path().join("config.toml");
    std::fs::write(&path, "mdns = false").unwrap();
    assert!(!Config::load(&path).unwrap().unwrap().mdns);
}
