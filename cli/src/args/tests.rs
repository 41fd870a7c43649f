use clap::CommandFactory;
use opendag_node::ops::{Operation, OwnersChange};

use super::*;
use crate::{commands::Task, error::CliError};

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("opendag").chain(line.split_whitespace()))
}

fn operation(line: &str) -> Operation {
    match Task::try_from(parse(line).unwrap().command).unwrap() {
        Task::Operation(operation) | Task::Export(operation, ..) => operation,
        other => panic!("{line} became {other:?}"),
    }
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn global_options_stand_before_and_after_the_command() {
    for line in [
        "--json --data-dir /d --listen /a,/b -vv ls",
        "ls --json --data-dir /d --listen /a,/b -vv",
    ] {
        let global = parse(line).unwrap().global;
        assert!(global.json && global.verbose == 2, "{line}");
        assert_eq!(global.data_dir, Some(PathBuf::from("/d")), "{line}");
        assert_eq!(global.listen, ["/a", "/b"], "{line}");
    }
}

#[test]
fn p8_wrong_usage_exits_with_two() {
    let cases = [
        "",
        "nothing",
        "publish",
        "publish x",
        "publish x --name a --name b",
        "fetch",
        "fetch a b",
        "fetch a --timeout soon",
        "fetch a --no-such-option",
        "verify a --all",
        "ls -q -v",
        "key",
        "key rotate a",
        "key rotate a --owner k --threshold 0",
        "owners",
        "owners add a",
        "owners threshold a 0",
        "owners threshold a 7",
        "sign",
        "sign a --show --key k",
        "publish --name x --finish a",
        "publish x --finish a",
        "publish x --name y --draft a --finish b",
        "daemon --gateway nowhere",
        "testnet up --nodes 0",
        "testnet sim --peers 0",
        "testnet sim --loss much",
        "testnet sim --loss -1",
        "testnet sim --cap 0B",
        "completions nosuchshell",
    ];
    for line in cases {
        let error = parse(line)
            .err()
            .unwrap_or_else(|| panic!("accepted: {line}"));
        assert_eq!(error.exit_code(), 2, "{line}");
    }
    for line in ["--help", "--version", "fetch --help"] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 0, "{line}");
    }
}

#[test]
fn a_publish_becomes_a_request_with_absolute_paths() {
    let line =
        "publish src --name corpus --label v1 --tag a --tag b --license MIT --exclude *.tmp --copy";
    let Operation::Publish(request) = operation(line) else {
        panic!("not a publish")
    };
    assert!(request.path.is_absolute() && request.path.ends_with("src"));
    assert_eq!(
        (request.name.as_str(), request.label.as_deref()),
        ("corpus", Some("v1"))
    );
    assert_eq!(
        (request.tags, request.exclude),
        (vec!["a".into(), "b".into()], vec!["*.tmp".into()])
    );
    assert!(request.copy && request.card.is_none() && request.key.is_none());
    let missing = Task::try_from(parse("publish /no/such/folder --name x").unwrap().command);
    assert!(
        matches!(missing, Err(CliError::Input(message)) if message.contains("/no/such/folder"))
    );
}

#[test]
fn a_fetch_becomes_a_request() {
    let line = "fetch opendag:x -o out --include *.txt --exclude b --peer /p --plan --no-seed --timeout 1m5s";
    let Operation::Fetch(request) = operation(line) else {
        panic!("not a fetch")
    };
    assert_eq!(request.link, "opendag:x");
    assert!(
        request
            .output
            .is_some_and(|output| output.is_absolute() && output.ends_with("out"))
    );
    assert_eq!(
        (request.include, request.exclude),
        (vec!["*.txt".into()], vec!["b".into()])
    );
    assert_eq!(
        (request.peers, request.timeout_ms),
        (vec!["/p".into()], Some(65_000))
    );
    assert!(request.plan && request.no_seed && !request.overwrite && !request.mirror);
    assert!(request.cwd.is_absolute());
}

#[test]
fn a_mirror_is_of_all_versions_and_asks_whom_it_is_told() {
    let Operation::Mirror(request) = operation("mirror name --peer /p") else {
        panic!("not a fetch")
    };
    assert!(request.what == "name" && request.budget.is_none() && request.peers == ["/p"]);
}

#[test]
fn listing_a_link_lists_its_files() {
    assert!(matches!(operation("ls"), Operation::Ls(request) if request.link.is_none()));
    assert!(
        matches!(operation("ls a"), Operation::Files(request) if request.link.as_deref() == Some("a"))
    );
    assert!(matches!(operation("show a"), Operation::Show(_)));
    assert!(matches!(operation("show a --files"), Operation::Files(_)));
    assert!(matches!(
        operation("manifest export a"),
        Operation::Export(_)
    ));
    let described = operation("manifest export a --format croissant --gateway http://127.0.0.1:1");
    assert!(
        matches!(described, Operation::Describe(request) if request.link == "a" && request.gateway.is_some())
    );
}

#[test]
fn verify_repairs_unless_told_otherwise() {
    let Operation::Verify(request) = operation("verify --all") else {
        panic!("not a verify")
    };
    assert!(request.repair && request.link.is_none());
    let Operation::Verify(request) = operation("verify a --no-repair") else {
        panic!("not a verify")
    };
    assert!(!request.repair && request.link.as_deref() == Some("a"));
}

#[test]
fn drafts_are_made_signed_and_finished() {
    let Operation::Publish(request) = operation("publish . --name x --draft d") else {
        panic!("not a publish")
    };
    assert!(request.draft.is_some_and(|draft| draft.is_absolute()));
    let Operation::Finish(request) = operation("publish --finish a b") else {
        panic!("not a finish")
    };
    assert!(request.files.len() == 2 && request.files.iter().all(|file| file.is_absolute()));
    let Operation::Sign(request) = operation("sign a b --key k --key l") else {
        panic!("not a sign")
    };
    assert_eq!(
        (request.files.len(), request.keys),
        (2, vec!["k".into(), "l".into()])
    );
    let Operation::ChangeOwners(request) = operation("owners threshold a 2 --draft d") else {
        panic!("not a change")
    };
    assert_eq!(request.change, OwnersChange::Threshold(2));
    assert!(request.draft.is_some());
    assert!(matches!(operation("owners show a"), Operation::Owners(_)));
}

#[test]
fn an_empty_link_is_bad_input() {
    let cli = Cli::try_parse_from(["opendag", "fetch", ""]).unwrap();
    assert!(matches!(
        Task::try_from(cli.command),
        Err(CliError::Input(_))
    ));
}
