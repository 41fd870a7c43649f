//! What people think of datasets and versions: saying it, and what is shown of it.

use std::{collections::BTreeMap, sync::Arc};

use opendag_protocol::{
    RecordId,
    key::PublicKey,
    record::{RecordError, Review, SignedRecord},
};

use crate::{
    fault::{self, Fault},
    inspect::{self, InspectError},
    node::Shared,
    ops::{Event, ReviewInfo, ReviewRequest, ReviewsInfo},
    publish::DEFAULT_KEY,
    report::Reporter,
    resolve::{Version, now},
    store::{KeyStoreError, StoreError},
};

/// Reviews that are shown: what fits on a screen. The mean is of all.
const SHOWN_MAX: usize = 5;

/// Why nothing was said.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReviewError {
    /// The link leads nowhere.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyStoreError),
    /// It breaks the rules of reviews.
    #[error("the review is refused: {0}")]
    Record(#[from] RecordError),
    /// There is nothing to take back.
    #[error("{author} has said nothing of {subject} that is known here")]
    Nothing {
        /// Whose key it is.
        author: PublicKey,
        /// Of what.
        subject: RecordId,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReviewError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Inspect(error) => error.fault(),
            Self::Key(error) => fault::of_keys(error),
            Self::Record(_) | Self::Nothing { .. } => Fault::Input,
            Self::Store(_) => Fault::Local,
        }
    }
}

/// Says what the user thinks, or takes it back.
pub(crate) async fn review(
    shared: &Arc<Shared>,
    request: &ReviewRequest,
    report: &Reporter,
) -> Result<Event, ReviewError> {
    let (version, wish) = inspect::version(shared, &request.about, report).await?;
    let of_version = wish.id == version.id.into();
    let subject = match of_version {
        true => version.id.into(),
        false => version.dataset().into(),
    };
    let name = request.key.as_deref().unwrap_or(DEFAULT_KEY);
    let key = match request.opinion {
        Some(_) => shared.keys().get_or_create(name)?,
        None => shared.keys().get(name)?,
    };
    let author = key.public();
    let before = about(shared, subject)?
        .into_iter()
        .find(|review| review.author() == author);
    if request.opinion.is_none() && before.as_ref().is_none_or(|said| said.opinion().is_none()) {
        return Err(ReviewError::Nothing { author, subject });
    }
    // Of two of one second chance would decide which one counts.
    let after = before.map_or(now(), |before| {
        before.issued_at().saturating_add(ONE_SECOND)
    });
    let at = after.max(now());
    let said = Review::statement(author, at, subject, request.opinion.as_ref())?;
    let signed = SignedRecord::sign(&said.clone().into(), &[&key])?;
    shared.learn(&signed)?;
    Ok(Event::Reviewed(ReviewInfo {
        id: signed.id(),
        subject,
        of_version,
        author: author.to_string(),
        issued_at: at,
        opinion: request.opinion.clone(),
    }))
}

const ONE_SECOND: std::time::Duration = std::time::Duration::from_secs(1);

/// What is said of a version and of its dataset. Whoever said something of the version is heard on that alone.
pub(crate) fn of(shared: &Shared, version: &Version) -> Result<ReviewsInfo, StoreError> {
    let (dataset, id) = (version.dataset().into(), RecordId::from(version.id));
    let mut by_author = BTreeMap::new();
    for subject in [dataset, id] {
        for review in about(shared, subject)? {
            by_author.insert(review.author(), review);
        }
    }
    let mut said: Vec<_> = by_author.into_values().collect();
    said.retain(|review| review.opinion().is_some());
    said.sort_by_key(|review| std::cmp::Reverse((review.issued_at(), review.id())));
    let ratings = || said.iter().filter_map(Review::opinion);
    let sum: u32 = ratings().map(|opinion| u32::from(opinion.rating)).sum();
    let count = u32::try_from(said.len()).unwrap_or(u32::MAX);
    Ok(ReviewsInfo {
        count: count.into(),
        mean: (count > 0).then(|| f64::from(sum) / f64::from(count)),
        newest: said
            .iter()
            .take(SHOWN_MAX)
            .map(|said| info(said, id))
            .collect(),
    })
}

/// What is said of one subject by those who stand by it. What breaks the rules, and whom this node does not want to
/// hear, is not shown.
fn about(shared: &Shared, subject: RecordId) -> Result<Vec<Review>, StoreError> {
    let now = now();
    let records = shared.store.statements(&subject.into())?;
    let statements = records.iter().filter_map(SignedRecord::as_statement);
    let standing = statements.filter(|statement| {
        !statement.is_expired(now) && shared.denial_of_author(statement.author()).is_none()
    });
    Ok(standing
        .filter_map(|statement| Review::read(statement).ok().flatten())
        .collect())
}

fn info(review: &Review, version: RecordId) -> ReviewInfo {
    ReviewInfo {
        id: review.id(),
        subject: review.subject(),
        of_version: review.subject() == version,
        author: review.author().to_string(),
        issued_at: review.issued_at(),
        opinion: review.opinion().cloned(),
    }
}
