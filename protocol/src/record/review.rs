//! The `review` statement: what somebody thinks of a dataset or a version.
//!
//! Source: `specs/records.md`, section *`review`*.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{
    FieldProblem, RecordError, Statement, StatementFields, Subject,
    payload::{filled, present},
    text::{Shape, check_list, check_text},
};
use crate::{
    RecordId, Timestamp, cbor,
    key::PublicKey,
    limits::{RATING_MAX, REVIEW_TAGS_MAX, REVIEW_TEXT_BYTES_MAX, TAG_BYTES_MAX},
};

/// What a reviewer thinks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Opinion {
    /// From 1, the worst, to 5.
    pub rating: u8,
    /// Why: paragraphs.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub text: Option<String>,
    /// Words to sort reviews by.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "filled"
    )]
    pub tags: Vec<String>,
}

impl Opinion {
    fn check(&self) -> Result<(), RecordError> {
        if !(1..=RATING_MAX).contains(&self.rating) {
            return Err(problem("rating")(FieldProblem::Range));
        }
        if let Some(text) = &self.text {
            check_text(text, REVIEW_TEXT_BYTES_MAX, Shape::Paragraphs).map_err(problem("text"))?;
        }
        check_list(&self.tags, REVIEW_TAGS_MAX).map_err(problem("tags"))?;
        for tag in &self.tags {
            check_text(tag, TAG_BYTES_MAX, Shape::Line).map_err(problem("tags"))?;
        }
        Ok(())
    }
}

/// A review that holds all rules of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    id: RecordId,
    author: PublicKey,
    issued_at: Timestamp,
    subject: RecordId,
    opinion: Option<Opinion>,
}

/// Says only whether there is an opinion at all: one that is taken back has no rating.
#[derive(Deserialize)]
struct Header {
    #[serde(default, deserialize_with = "present")]
    rating: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    text: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    tags: Option<IgnoredAny>,
}

impl Review {
    /// The `type` of its statements.
    pub const KIND: &'static str = "review";

    /// The statement by which `author` says what they think of a dataset or a version, in place of what they said of
    /// it before. Without an opinion it takes that back.
    ///
    /// # Errors
    /// [`RecordError::Field`] with what breaks a rule.
    pub fn statement(
        author: PublicKey,
        issued_at: Timestamp,
        subject: RecordId,
        opinion: Option<&Opinion>,
    ) -> Result<Statement, RecordError> {
        let more = match opinion {
            Some(opinion) => {
                opinion.check()?;
                let plain = cbor::to_vec(opinion).map_err(RecordError::Payload)?;
                cbor::from_slice_canonical(&plain).map_err(RecordError::Payload)?
            }
            None => BTreeMap::new(),
        };
        Statement::new(StatementFields {
            kind: Self::KIND.to_owned(),
            author,
            issued_at,
            subject: Some(Subject::Record(subject)),
            expires_at: None,
            more,
        })
    }

    /// A statement as a review; `None` if it is of another type.
    ///
    /// # Errors
    /// [`RecordError`] if it is a review that breaks a rule: it is kept and passed on as any statement, and not shown.
    pub fn read(statement: &Statement) -> Result<Option<Self>, RecordError> {
        if statement.kind() != Self::KIND {
            return Ok(None);
        }
        let Some(Subject::Record(subject)) = statement.subject() else {
            return Err(problem("subject")(FieldProblem::Presence));
        };
        let header: Header = statement.read()?;
        let opinion = match header {
            Header {
                rating: None,
                text: None,
                tags: None,
            } => None,
            Header { rating: None, .. } => {
                return Err(problem("rating")(FieldProblem::Presence));
            }
            Header { .. } => {
                let opinion: Opinion = statement.read()?;
                opinion.check()?;
                Some(opinion)
            }
        };
        Ok(Some(Self {
            id: statement.id(),
            author: statement.author(),
            issued_at: statement.issued_at(),
            subject,
            opinion,
        }))
    }

    /// The id of its record.
    #[must_use]
    pub const fn id(&self) -> RecordId {
        self.id
    }

    /// Who says it.
    #[must_use]
    pub const fn author(&self) -> PublicKey {
        self.author
    }

    /// When.
    #[must_use]
    pub const fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// The dataset or version that it is about.
    #[must_use]
    pub const fn subject(&self) -> RecordId {
        self.subject
    }

    /// What its author thinks; `None`: nothing any more.
    #[must_use]
    pub const fn opinion(&self) -> Option<&Opinion> {
        self.opinion.as_ref()
    }
}

fn problem(field: &'static str) -> impl Fn(FieldProblem) -> RecordError {
    move |problem| RecordError::Field {
        kind: Review::KIND,
        field,
        problem,
    }
}

#[cfg(test)]
mod tests;
