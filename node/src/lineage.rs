//! What a version was made from, and what was made from it, with licences along the way.
//!
//! Up goes as far as records can be found, here or in the network, within the time that the user gives;
//! down goes by the index of what is known here (`store/lineage.rs`). How far and how wide, the pure
//! [`Walk`] bounds.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use opendag_protocol::{
    ManifestId,
    license::{self, Fit},
    limits::LINEAGE_DEPTH_MAX,
    lineage::Walk,
    record::Derivation,
};
use tokio::time::Instant;

use crate::{
    inspect::{self, InspectError},
    node::Shared,
    ops::{
        Event, LicenseFit, LicenseHint, LineageEdge, LineageFormat, LineageInfo, LineageRequest,
        LineageVersion,
    },
    report::Reporter,
    resolve::{self, Version, Wish},
    store::StoreError,
};

/// How long records are looked for that are not here, unless the user says.
const LOOK_MAX: Duration = Duration::from_secs(10);
/// Records that are looked for at once.
const LOOKED_FOR_AT_ONCE: usize = 8;
/// Versions made from one version that are shown: the index may know of more.
const MADE_FROM_ONE_MAX: usize = 128;

/// Looks in both directions.
pub(crate) async fn lineage(
    shared: &Arc<Shared>,
    request: &LineageRequest,
    report: &Reporter,
) -> Result<Event, InspectError> {
    let (root, wish) = inspect::version(shared, &request.about, report).await?;
    let depth = request.depth.unwrap_or(LINEAGE_DEPTH_MAX);
    let within = request
        .about
        .timeout_ms
        .map_or(LOOK_MAX, Duration::from_millis);
    let mut graph = Graph::default();
    let root_id = root.id;
    graph.know(&root);
    let mut up = Walk::start(root_id, depth);
    let deadline = Instant::now() + within;
    while let Some((depth, level)) = up.next_level() {
        let found = look(shared, level, &wish, (deadline, report)).await?;
        for (id, version) in found {
            let Some(version) = version else {
                graph.miss(id);
                continue;
            };
            graph.know(&version);
            let derived_from = version.manifest().derived_from();
            up.leads_to(depth, derived_from.iter().map(|from| from.manifest));
            graph.made(
                &version,
                derived_from
                    .iter()
                    .filter(|from| up.has_seen(&from.manifest)),
            );
        }
    }
    let mut down = Walk::start(root_id, depth);
    while let Some((depth, level)) = down.next_level() {
        for id in level {
            let mut made = shared.store.made_from(&id, MADE_FROM_ONE_MAX + 1)?;
            if made.len() > MADE_FROM_ONE_MAX {
                made.truncate(MADE_FROM_ONE_MAX);
                down.cut();
            }
            for child in made {
                // Its record may have made room for others.
                let version = resolve::version(shared, child)?;
                let Some(version) = version.filter(|version| shared.denial(version).is_none())
                else {
                    continue;
                };
                down.leads_to(depth, [child]);
                if !down.has_seen(&child) {
                    continue;
                }
                graph.know(&version);
                let from = version.manifest().derived_from().iter();
                graph.made(&version, from.filter(|from| from.manifest == id));
            }
        }
    }
    let cut = up.is_cut() || down.is_cut();
    Ok(Event::Lineage(Box::new(
        graph.info(root_id, (cut, request.format)),
    )))
}

/// Finds the records of these versions, here or in the network, until the deadline.
async fn look(
    shared: &Arc<Shared>,
    level: Vec<ManifestId>,
    wish: &Wish,
    (deadline, report): (Instant, &Reporter),
) -> Result<Vec<(ManifestId, Option<Version>)>, InspectError> {
    let mut found = Vec::with_capacity(level.len());
    let mut missing = Vec::new();
    for id in level {
        match resolve::version(shared, id) {
            Ok(Some(version)) => found.push((id, Some(version))),
            Ok(None) => missing.push(id),
            // What is named as a version need not be one.
            Err(resolve::ResolveError::OtherRecord(_)) => found.push((id, None)),
            Err(error) => return Err(error.into()),
        }
    }
    if missing.is_empty() || Instant::now() >= deadline {
        found.extend(missing.into_iter().map(|id| (id, None)));
        return Ok(found);
    }
    let net = shared.net().await?;
    report
        .waiting("resolve", "the records of what it was made from")
        .await;
    let ask = |id: ManifestId| {
        let (net, hints) = (net.clone(), wish.hints.clone());
        async move {
            let wish = Wish {
                id: id.into(),
                hints,
                publisher: None,
            };
            let within = deadline.saturating_duration_since(Instant::now());
            let version = resolve::resolve(shared, &net, &wish, within, report).await;
            let version = version.inspect_err(|error| {
                tracing::debug!(version = %id, %error, "a version of a lineage was not found");
            });
            (id, version.ok())
        }
    };
    let mut asked = stream::iter(missing.into_iter().map(ask)).buffered(LOOKED_FOR_AT_ONCE);
    while let Some(answer) = asked.next().await {
        found.push(answer);
    }
    Ok(found)
}

/// What was found so far.
#[derive(Default)]
struct Graph {
    versions: BTreeMap<ManifestId, LineageVersion>,
    order: Vec<ManifestId>,
    edges: BTreeMap<(ManifestId, ManifestId), Option<String>>,
}

impl Graph {
    fn know(&mut self, version: &Version) {
        let manifest = version.manifest();
        self.add(LineageVersion {
            manifest: version.id,
            known: true,
            dataset: Some(version.dataset()),
            name: Some(version.name()),
            sequence: Some(manifest.sequence()),
            label: manifest.label().map(str::to_owned),
            license: manifest.license().map(str::to_owned),
            created_at: Some(manifest.created_at()),
        });
    }

    fn miss(&mut self, id: ManifestId) {
        self.add(LineageVersion {
            manifest: id,
            known: false,
            dataset: None,
            name: None,
            sequence: None,
            label: None,
            license: None,
            created_at: None,
        });
    }

    fn add(&mut self, version: LineageVersion) {
        let id = version.manifest;
        if self.versions.insert(id, version).is_none() {
            self.order.push(id);
        }
    }

    /// A version was made from these.
    fn made<'a>(&mut self, version: &Version, from: impl Iterator<Item = &'a Derivation>) {
        for from in from {
            self.edges
                .insert((version.id, from.manifest), from.how.clone());
        }
    }

    fn info(self, root: ManifestId, (cut, format): (bool, LineageFormat)) -> LineageInfo {
        let license = |id: &ManifestId| {
            let version = self.versions.get(id).filter(|version| version.known);
            version.map(|version| version.license.as_deref())
        };
        let edge = |((version, made_from), how): (&(ManifestId, ManifestId), &Option<String>)| {
            let fit = match (license(made_from), license(version)) {
                (Some(given), Some(offered)) => license::fit(given, offered),
                (None, _) | (_, None) => {
                    return LineageEdge {
                        version: *version,
                        made_from: *made_from,
                        how: how.clone(),
                        license: LicenseFit::Unknown,
                        reason: Some("it is not known here".to_owned()),
                    };
                }
            };
            let (license, reason) = said(&fit);
            LineageEdge {
                version: *version,
                made_from: *made_from,
                how: how.clone(),
                license,
                reason,
            }
        };
        let edges = self.edges.iter().map(edge).collect();
        let versions = self.order.iter().filter_map(|id| self.versions.get(id));
        LineageInfo {
            root,
            versions: versions.cloned().collect(),
            edges,
            cut,
            format,
        }
    }
}

fn said(fit: &Fit) -> (LicenseFit, Option<String>) {
    match fit {
        Fit::Fits => (LicenseFit::Fits, None),
        Fit::Unknown(doubt) => (LicenseFit::Unknown, Some(doubt.to_string())),
        Fit::Contradicts(clash) => (LicenseFit::Contradicts, Some(clash.to_string())),
    }
}

/// Where a licence does not go with those of what a version was made from, as far as those are known
/// here, or where that cannot be told.
pub(crate) fn hints(
    shared: &Shared,
    license: Option<&str>,
    derived_from: &[Derivation],
) -> Result<Vec<LicenseHint>, StoreError> {
    let mut hints = Vec::new();
    for from in derived_from {
        let Some(record) = shared.store.manifest_of(&from.manifest)? else {
            continue;
        };
        let given = record.as_manifest().and_then(|manifest| manifest.license());
        let (fit, reason) = said(&license::fit(given, license));
        if let Some(reason) = reason {
            hints.push(LicenseHint {
                made_from: from.manifest,
                fit,
                reason,
            });
        }
    }
    Ok(hints)
}

/// The contradictions among hints, as sentences for whoever publishes.
pub(crate) fn warnings(hints: &[LicenseHint]) -> impl Iterator<Item = String> + '_ {
    let contradicts = |hint: &&LicenseHint| hint.fit == LicenseFit::Contradicts;
    hints.iter().filter(contradicts).map(|hint| {
        format!(
            "the licence may contradict that of {}, from which this version is made: {} (a hint, not legal advice)",
            hint.made_from, hint.reason
        )
    })
}
