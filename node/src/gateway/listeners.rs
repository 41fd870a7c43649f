//! The listeners that run, and what programs need in their environment to use them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::fault::Fault;

/// No listener runs on this node.
#[derive(Debug, thiserror::Error)]
#[error(
    "no gateway runs on this node; start one with `opendag daemon --gateway 127.0.0.1:8480 --s3 127.0.0.1:8481`"
)]
pub(crate) struct NoListener;

impl NoListener {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        Fault::Local
    }
}

/// URLs of the listeners of a node.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Mutex<Urls>);

#[derive(Clone, Debug, Default)]
struct Urls {
    gateway: Option<String>,
    s3: Option<String>,
}

impl Listeners {
    /// The gateway answers here, or nowhere any more.
    pub(super) fn set_gateway(&self, url: Option<String>) {
        self.urls().gateway = url;
    }

    /// S3 answers here, or nowhere any more.
    pub(super) fn set_s3(&self, url: Option<String>) {
        self.urls().s3 = url;
    }

    /// What programs need in their environment: where to read, keys that S3 clients insist on, and that
    /// the Hub's clients report to nobody.
    pub(crate) fn variables(&self) -> Result<BTreeMap<String, String>, NoListener> {
        let Urls { gateway, s3 } = self.urls().clone();
        let mut variables = BTreeMap::new();
        let mut set = |name: &str, value: &str| variables.insert(name.to_owned(), value.to_owned());
        if let Some(url) = gateway {
            set("HF_ENDPOINT", &url);
            set("HF_HUB_DISABLE_TELEMETRY", "1");
            set("HF_HUB_DISABLE_XET", "1");
        }
        if let Some(url) = s3 {
            set("AWS_ENDPOINT_URL", &url);
            set("AWS_ACCESS_KEY_ID", "opendag");
            set("AWS_SECRET_ACCESS_KEY", "opendag");
            set("AWS_REGION", "us-east-1");
            set("AWS_ALLOW_HTTP", "true");
        }
        match variables.is_empty() {
            true => Err(NoListener),
            false => Ok(variables),
        }
    }

    fn urls(&self) -> MutexGuard<'_, Urls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
