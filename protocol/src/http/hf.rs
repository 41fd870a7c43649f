//! Routes of the read API of the Hugging Face Hub, as its clients ask for them.

use super::decode;

/// A dataset's name there: `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repo {
    /// Who publishes it.
    pub namespace: String,
    /// How it is called.
    pub name: String,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// What a version is, with its files.
    Info(Repo, Option<String>),
    /// The files below a folder; `""` is the root.
    Tree(Repo, String, String),
    /// Some files by their paths, which are in the body.
    PathsInfo(Repo, String),
    /// The names of versions.
    Refs(Repo),
    /// The versions up to one.
    Commits(Repo, String),
    /// The description in the vocabulary of Croissant.
    Croissant(Repo),
    /// A file.
    Resolve(Repo, String, String),
}

impl std::fmt::Display for Repo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Route {
    /// Parses the path of a URL as it came, still percent-encoded. `None`: it is no route of this API.
    ///
    /// A revision is one segment, in which a slash is `%2F`; a path or folder may have slashes either way.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("/datasets/") {
            let (repo, rest) = repo(rest)?;
            let (revision, path) = rest?.strip_prefix("resolve/")?.split_once('/')?;
            return Some(Self::Resolve(repo, filled(revision)?, filled(path)?));
        }
        let (repo, rest) = repo(path.strip_prefix("/api/datasets/")?)?;
        let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
            return Some(Self::Info(repo, None));
        };
        let (verb, rest) = rest.split_once('/').unwrap_or((rest, ""));
        Some(match verb {
            "revision" => Self::Info(repo, Some(filled(rest)?)),
            "tree" => {
                let (revision, folder) = rest.split_once('/').unwrap_or((rest, ""));
                let folder = decode(folder)?.trim_matches('/').to_owned();
                Self::Tree(repo, filled(revision)?, folder)
            }
            "paths-info" => Self::PathsInfo(repo, filled(rest)?),
            "commits" => Self::Commits(repo, filled(rest)?),
            "refs" if rest.is_empty() => Self::Refs(repo),
            "croissant" if rest.is_empty() => Self::Croissant(repo),
            _ => return None,
        })
    }

    /// The dataset.
    #[must_use]
    pub const fn repo(&self) -> &Repo {
        match self {
            Self::Info(repo, _)
            | Self::Tree(repo, ..)
            | Self::PathsInfo(repo, _)
            | Self::Refs(repo)
            | Self::Commits(repo, _)
            | Self::Croissant(repo)
            | Self::Resolve(repo, ..) => repo,
        }
    }
}

/// The dataset at the beginning, and what follows behind its slash.
fn repo(path: &str) -> Option<(Repo, Option<&str>)> {
    let (namespace, rest) = path.split_once('/')?;
    let (name, rest) = match rest.split_once('/') {
        Some((name, rest)) => (name, Some(rest)),
        None => (rest, None),
    };
    let repo = Repo {
        namespace: filled(namespace)?,
        name: filled(name)?,
    };
    Some((repo, rest))
}

fn filled(text: &str) -> Option<String> {
    decode(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Option<Route> {
        Route::parse(path)
    }

    fn repo() -> Repo {
        Repo {
            namespace: "opendag".to_owned(),
            name: "corpus".to_owned(),
        }
    }

    #[test]
    fn routes_of_the_clients() {
        let text = str::to_owned;
        let cases = [
            ("/api/datasets/opendag/corpus", Route::Info(repo(), None)),
            (
                "/api/datasets/opendag/corpus/revision/refs%2Fconvert%2Fparquet",
                Route::Info(repo(), Some(text("refs/convert/parquet"))),
            ),
            (
                "/api/datasets/opendag/corpus/tree/main",
                Route::Tree(repo(), text("main"), String::new()),
            ),
            (
                "/api/datasets/opendag/corpus/tree/main/a%2Fb%20c",
                Route::Tree(repo(), text("main"), text("a/b c")),
            ),
            (
                "/api/datasets/opendag/corpus/paths-info/v1.1",
                Route::PathsInfo(repo(), text("v1.1")),
            ),
            ("/api/datasets/opendag/corpus/refs", Route::Refs(repo())),
            (
                "/api/datasets/opendag/corpus/commits/main",
                Route::Commits(repo(), text("main")),
            ),
            (
                "/api/datasets/opendag/corpus/croissant",
                Route::Croissant(repo()),
            ),
            (
                "/datasets/opendag/corpus/resolve/main/a/b%2Bc%25.parquet",
                Route::Resolve(repo(), text("main"), text("a/b+c%.parquet")),
            ),
        ];
        for (path, route) in cases {
            assert_eq!(parse(path), Some(route), "{path}");
        }
    }

    #[test]
    fn what_is_no_route_is_none() {
        for path in [
            "",
            "/",
            "/api/whoami-v2",
            "/api/datasets",
            "/api/datasets/",
            "/api/datasets/opendag",
            "/api/datasets//corpus",
            "/api/datasets/opendag//tree/main",
            "/api/datasets/opendag/corpus/tree",
            "/api/datasets/opendag/corpus/revision/",
            "/api/datasets/opendag/corpus/unknown/x",
            "/api/datasets/opendag/%ff",
            "/datasets/opendag/corpus",
            "/datasets/opendag/corpus/resolve/main",
            "/datasets/opendag/corpus/resolve/main/",
            "/datasets/opendag/corpus/resolve//x",
            "/models/opendag/corpus/resolve/main/x",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }
}
