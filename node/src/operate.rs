//! Carrying out operations: from a request to the event that closes it.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    aliases, carry, compare, denylists,
    fault::{self, Fault},
    fetch, follow, gateway, inspect, keep, lineage, lock, mount,
    node::{Node, Shared},
    ops::{Event, Operate, Operation},
    owners, publish, receipt,
    report::Reporter,
    retain, reviews, search,
};

/// An operation that is stopped may make durable what it has for so long.
const STOP_MAX: Duration = Duration::from_secs(4);

/// A failure as the user is told.
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) fault: Fault,
}

impl From<Failure> for Event {
    fn from(failure: Failure) -> Self {
        Self::Failed {
            message: sentence(&failure.message),
            exit_code: failure.fault.exit_code(),
        }
    }
}

/// Begins with a capital letter, ends with a full stop.
fn sentence(message: &str) -> String {
    // Ids and file names stay as they are.
    let word = message.split(' ').next().unwrap_or_default();
    let is_word = word.chars().all(|c| c.is_ascii_lowercase());
    let mut chars = message.chars();
    let first: String = match chars.next() {
        Some(first) if is_word => first.to_uppercase().collect(),
        first => first.into_iter().collect(),
    };
    let stop = if message.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    format!("{first}{}{stop}", chars.as_str())
}

macro_rules! failures {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self { message: fault::with_causes(&error), fault: error.fault() }
            }
        }
    )+};
}

failures!(
    aliases::AliasesError,
    carry::CarryError,
    denylists::DenylistsError,
    fetch::FetchError,
    follow::FollowError,
    gateway::NoListener,
    publish::PublishError,
    inspect::InspectError,
    keep::KeepError,
    lock::LockError,
    mount::MountError,
    receipt::ReceiptFault,
    retain::mirror::MirrorError,
    owners::OwnersError,
    reviews::ReviewError,
    search::SearchError
);

impl Operate for Node {
    async fn run(&self, operation: Operation, events: mpsc::Sender<Event>) {
        let cancel = self.shared.stop.child_token();
        let stop_if_dropped = cancel.clone().drop_guard();
        let report = Reporter::new(events.clone());
        let work = carry_out(&self.shared, operation, &report, &cancel);
        tokio::pin!(work);
        let closing = tokio::select! {
            closing = &mut work => Some(closing),
            () = events.closed() => {
                cancel.cancel();
                timeout(STOP_MAX, &mut work).await.ok()
            }
            () = cancel.cancelled() => timeout(STOP_MAX, &mut work).await.ok(),
        };
        if let Some(closing) = closing {
            report.send(closing.unwrap_or_else(Event::from)).await;
        }
        drop(stop_if_dropped);
    }
}

async fn carry_out(
    shared: &Arc<Shared>,
    operation: Operation,
    report: &Reporter,
    cancel: &CancellationToken,
) -> Result<Event, Failure> {
    let event = match operation {
        Operation::Publish(request) => {
            let _running = shared.running.begin(format!(
                "publish {} as {}",
                request.path.display(),
                request.name
            ));
            publish::publish(shared, &request, report, cancel).await?
        }
        Operation::Fetch(request) => {
            let _running = shared.running.begin(format!("fetch {}", request.link));
            fetch::space::fetch(shared, &request, report, cancel).await?
        }
        Operation::Ls(request) => inspect::ls(shared, &request).await?,
        Operation::Show(request) => inspect::show(shared, &request, report).await?,
        Operation::Files(request) => inspect::files(shared, &request, report).await?,
        Operation::Log(request) => inspect::log(shared, &request, report).await?,
        Operation::Lineage(request) => lineage::lineage(shared, &request, report).await?,
        Operation::Diff(request) => compare::diff(shared, &request, report).await?,
        Operation::Review(request) => reviews::review(shared, &request, report).await?,
        Operation::Search(request) => search::search(shared, &request, report).await?,
        Operation::Export(request) => carry::export(shared, &request, report).await?,
        Operation::Import(request) => carry::import(shared, &request, report, cancel).await?,
        Operation::Describe(request) => inspect::describe(shared, &request, report).await?,
        Operation::Verify(request) => {
            let _running = shared.running.begin("verify".to_owned());
            keep::verify(shared, &request, report, cancel).await?
        }
        Operation::Lock(request) => lock::lock(shared, &request, report).await?,
        Operation::Restore(request) => {
            let what = format!("fetch what {} locks", request.dir.display());
            let _running = shared.running.begin(what);
            lock::restore(shared, &request, report, cancel).await?
        }
        Operation::Receipt(request) => {
            let _running = shared.running.begin("verify for a receipt".to_owned());
            receipt::make(shared, &request, report, cancel).await?
        }
        Operation::CheckReceipt(request) => {
            let _running = shared.running.begin("check a receipt".to_owned());
            receipt::check(shared, &request, report, cancel).await?
        }
        Operation::Pin(request) => retain::pin(shared, &request)?,
        Operation::Pins => retain::pins(shared)?,
        Operation::Unpin(request) => retain::unpin(shared, &request).await?,
        Operation::Rm(request) => retain::rm(shared, &request).await?,
        Operation::Mirror(request) => {
            let _running = shared.running.begin(format!("mirror {}", request.what));
            Box::pin(retain::mirror::mirror(shared, &request, (report, cancel))).await?
        }
        Operation::Unmirror(request) => retain::mirror::unmirror(shared, &request)?,
        Operation::Mirrors => Event::Mirrors {
            mirrors: Box::pin(retain::mirror::list(shared)).await?,
        },
        Operation::Quota(request) => retain::quota(shared, &request).await?,
        Operation::Gc(request) => retain::gc(shared, &request).await?,
        Operation::Reindex => keep::reindex(shared).await?,
        Operation::Rotate(request) => owners::rotate(shared, &request).await?,
        Operation::ChangeOwners(request) => owners::change(shared, &request).await?,
        Operation::Owners(request) => owners::show(shared, &request)?,
        Operation::Sign(request) => owners::sign(shared, &request, report).await?,
        Operation::Finish(request) => {
            let _running = shared.running.begin("finish a draft".to_owned());
            publish::finish(shared, &request, report, cancel).await?
        }
        Operation::Keys => owners::keys(shared)?,
        Operation::KeyNew(request) => owners::new(shared, &request)?,
        Operation::KeyExport(request) => owners::export(shared, &request)?,
        Operation::KeyImport(request) => owners::import(shared, &request)?,
        Operation::AliasSet(request) => aliases::set(shared, &request)?,
        Operation::Aliases => aliases::list(shared)?,
        Operation::AliasRm(request) => aliases::remove(shared, &request)?,
        Operation::Follow(request) => follow::follow(shared, &request)?,
        Operation::Unfollow(request) => follow::unfollow(shared, &request)?,
        Operation::Follows => follow::list(shared)?,
        Operation::Deny(request) => denylists::deny(shared, &request).await?,
        Operation::Allow(request) => denylists::allow(shared, &request).await?,
        Operation::Denylists => denylists::list(shared)?,
        Operation::DenylistPublish(request) => denylists::publish(shared, &request)?,
        Operation::DenylistSubscribe(request) => denylists::subscribe(shared, &request).await?,
        Operation::DenylistUnsubscribe(request) => denylists::unsubscribe(shared, &request).await?,
        Operation::Id => Event::Id {
            peer: shared.peer_id().to_string(),
            addresses: shared.addresses().await,
        },
        Operation::Peers => inspect::peers(shared).await,
        Operation::Status => inspect::status(shared, retain::mirror::list(shared).await?).await?,
        Operation::Env(request) => {
            let variables = shared.listeners.variables()?;
            let shell = request.shell;
            Event::Env { variables, shell }
        }
        Operation::Mount(request) => {
            let what = format!("mount at {}", request.dir.display());
            let _running = shared.running.begin(what);
            mount::mount(shared, &request, report, cancel).await?
        }
        Operation::Unmount(request) => mount::unmount(shared, &request).await?,
    };
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_sentences() {
        assert_eq!(sentence("cannot read x"), "Cannot read x.");
        assert_eq!(sentence("Is it?"), "Is it?");
        assert_eq!(sentence("bafyr4i was not found"), "bafyr4i was not found.");
    }
}
