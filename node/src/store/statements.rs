//! Statements: which ones are kept, and what is remembered of them in the index.

use std::collections::BTreeSet;

use opendag_protocol::{
    RecordId, Timestamp,
    catalogue::{Applied, Refused},
    cbor,
    key::PublicKey,
    record::{SignedRecord, Statement, Subject},
    statements::{Assessed, Kept, StatementKey, StatementLimits, Statements},
};
use serde::{Deserialize, Serialize};

use super::{
    catalogue::hash,
    index::Table,
    open::{Store, StoreError, lock},
};

/// A row of [`Table::Statements`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    kind: String,
    author: PublicKey,
    subject: Option<Subject>,
    issued_at: Timestamp,
    bytes: u32,
}

/// What is remembered of a statement.
pub(crate) fn row_of(signed: &SignedRecord, statement: &Statement) -> Result<Vec<u8>, StoreError> {
    let row = Row {
        kind: statement.kind().to_owned(),
        author: statement.author(),
        subject: statement.subject(),
        issued_at: statement.issued_at(),
        bytes: len_of(signed),
    };
    cbor::to_vec(&row).map_err(|_| StoreError::Encode {
        what: "what is remembered of a statement",
    })
}

fn len_of(signed: &SignedRecord) -> u32 {
    u32::try_from(signed.bytes().len()).unwrap_or(u32::MAX)
}

impl Store {
    /// Takes a statement in; durable when it returns `New` or `Newer`. Blocks.
    ///
    /// # Errors
    /// As [`Store::apply`]; [`StoreError::Encode`] for a record that is no statement.
    pub fn put_statement(
        &self,
        record: &SignedRecord,
        now: Timestamp,
    ) -> Result<Applied, StoreError> {
        if record.as_statement().is_none() {
            return Err(StoreError::Encode {
                what: "a record that is no statement",
            });
        }
        self.apply(record, now)
    }

    /// What is said about a subject, by whomever and of whatever type: the newest first. Some may have
    /// expired. Blocks.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub fn statements(&self, subject: &Subject) -> Result<Vec<SignedRecord>, StoreError> {
        let ids: Vec<_> = lock(&self.inner.statements).about(subject).collect();
        self.those(&ids)
    }

    /// What an author says, about whatever: the newest first. Some may have expired. Blocks.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub fn statements_by(&self, author: &PublicKey) -> Result<Vec<SignedRecord>, StoreError> {
        let ids: Vec<_> = lock(&self.inner.statements).by(author).collect();
        self.those(&ids)
    }

    fn those(&self, ids: &[RecordId]) -> Result<Vec<SignedRecord>, StoreError> {
        let records = ids.iter().map(|id| self.record(id));
        records.filter_map(Result::transpose).collect()
    }

    /// Says whose statements go last when there is no room for all: those of authors that somebody here follows or is.
    pub fn want_statements_of(&self, authors: BTreeSet<PublicKey>) {
        lock(&self.inner.statements).set_wanted(authors);
    }

    /// When each statement of authors that `of_author` takes was issued, and its id.
    pub fn statement_times(
        &self,
        of_author: impl Fn(&PublicKey) -> bool,
    ) -> Vec<(Timestamp, RecordId)> {
        let statements = lock(&self.inner.statements);
        let all = statements.all().filter(|(key, _)| of_author(&key.author));
        all.map(|(_, kept)| (kept.issued_at, kept.id)).collect()
    }

    /// What would become of a statement, and which ones would not be kept any more.
    pub(crate) fn assess_statement(
        &self,
        signed: &SignedRecord,
        statement: &Statement,
        now: Timestamp,
    ) -> Result<(Applied, Vec<RecordId>), StoreError> {
        let statements = lock(&self.inner.statements);
        Ok(match statements.assess(statement, len_of(signed), now) {
            Assessed::Keep { dropped } if dropped.is_empty() => (Applied::New, dropped),
            Assessed::Keep { dropped } => (Applied::Newer, dropped),
            Assessed::Known => (Applied::Known, Vec::new()),
            Assessed::Stale => (Applied::Stale, Vec::new()),
            Assessed::Unneeded => (Applied::Unneeded, Vec::new()),
            Assessed::FromTheFuture => {
                let issued_at = statement.issued_at();
                return Err(StoreError::Refused {
                    record: signed.id(),
                    source: Refused::FromTheFuture { issued_at },
                });
            }
        })
    }

    /// Keeps a statement in memory; answers which ones are not kept any more, itself included.
    pub(crate) fn insert_statement(
        &self,
        signed: &SignedRecord,
        statement: &Statement,
    ) -> Vec<RecordId> {
        let kept = Kept::of(statement, len_of(signed));
        match lock(&self.inner.statements).insert(StatementKey::of(statement), kept) {
            Assessed::Keep { dropped } => dropped,
            Assessed::Known => Vec::new(),
            Assessed::Stale | Assessed::Unneeded | Assessed::FromTheFuture => vec![kept.id],
        }
    }

    /// Writes or removes what is remembered of a statement; without it its record is needed no more.
    pub(crate) fn put_statement_row(
        &self,
        id: &RecordId,
        row: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let (index, key) = (&self.inner.index, id.hash());
        match row {
            Some(row) => Ok(index.put(Table::Statements, key.as_bytes(), row)?),
            None => {
                self.forget_record(id)?;
                Ok(index.remove(Table::Statements, key.as_bytes())?)
            }
        }
    }

    /// Reads from the index which statements are kept. What the limits have no room for any more is forgotten.
    pub(crate) fn load_statements(&self) -> Result<(), StoreError> {
        let mut statements = Statements::new(StatementLimits::with_bytes(self.statement_bytes()));
        let mut dropped = Vec::new();
        for found in self.inner.index.rows(Table::Statements, &[]) {
            let (id, value) = found?;
            let row: Option<Row> = cbor::from_slice_canonical(&value).ok();
            let (Some(id), Some(row)) = (hash(&id), row) else {
                return Err(self.inner.index.damaged().into());
            };
            let id = RecordId::from_hash(id);
            let key = StatementKey {
                subject: row.subject,
                author: row.author,
                kind: row.kind.into(),
            };
            let kept = Kept {
                id,
                issued_at: row.issued_at,
                bytes: row.bytes,
            };
            match statements.insert(key, kept) {
                Assessed::Keep { dropped: ids } => dropped.extend(ids),
                Assessed::Known => {}
                Assessed::Stale | Assessed::Unneeded | Assessed::FromTheFuture => dropped.push(id),
            }
        }
        for id in dropped {
            self.put_statement_row(&id, None)?;
        }
        *lock(&self.inner.statements) = statements;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
