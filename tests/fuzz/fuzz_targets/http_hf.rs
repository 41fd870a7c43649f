//! Routes of the Hub: each that is made is read as it was meant, and each that is read can be made again.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use opendag_protocol::http::{
    encode_path, encode_segment,
    hf::{Repo, Route},
};

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Kind {
    Info,
    Revision,
    Tree,
    PathsInfo,
    Refs,
    Commits,
    Croissant,
    Resolve,
}

fuzz_target!(|input: (Kind, [&str; 4], bool)| {
    let (kind, texts, is_encoded) = input;
    if let Some(route) = Route::parse(texts[0]) {
        check(&route, is_encoded);
    }
    let [namespace, name, revision, path] = texts.map(str::to_owned);
    if [&namespace, &name, &revision, &path]
        .iter()
        .any(|text| text.is_empty())
    {
        return;
    }
    let repo = Repo { namespace, name };
    check(
        &match kind {
            Kind::Info => Route::Info(repo, None),
            Kind::Revision => Route::Info(repo, Some(revision)),
            Kind::Tree => Route::Tree(repo, revision, path.trim_matches('/').to_owned()),
            Kind::PathsInfo => Route::PathsInfo(repo, revision),
            Kind::Refs => Route::Refs(repo),
            Kind::Commits => Route::Commits(repo, revision),
            Kind::Croissant => Route::Croissant(repo),
            Kind::Resolve => Route::Resolve(repo, revision, path),
        },
        is_encoded,
    );
});

/// Made into a URL, a route is read as it was; a slash of a path may be encoded or not.
fn check(route: &Route, is_encoded: bool) {
    let Repo { namespace, name } = route.repo();
    let repo = format!("{}/{}", encode_segment(namespace), encode_segment(name));
    let encode = if is_encoded {
        encode_segment
    } else {
        encode_path
    };
    let api = |rest: &str| format!("/api/datasets/{repo}{rest}");
    let url = match route {
        Route::Info(_, None) => api(""),
        Route::Info(_, Some(revision)) => api(&format!("/revision/{}", encode_segment(revision))),
        Route::Tree(_, revision, folder) => api(&format!(
            "/tree/{}/{}",
            encode_segment(revision),
            encode(folder)
        )),
        Route::PathsInfo(_, revision) => api(&format!("/paths-info/{}", encode_segment(revision))),
        Route::Refs(_) => api("/refs"),
        Route::Commits(_, revision) => api(&format!("/commits/{}", encode_segment(revision))),
        Route::Croissant(_) => api("/croissant"),
        Route::Resolve(_, revision, path) => {
            format!(
                "/datasets/{repo}/resolve/{}/{}",
                encode_segment(revision),
                encode(path)
            )
        }
    };
    assert!(url.is_ascii());
    assert_eq!(Route::parse(&url).as_ref(), Some(route), "{url}");
}
