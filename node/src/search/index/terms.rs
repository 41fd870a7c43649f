//! From a query to what tantivy looks for.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    ops::{Bound, RangeInclusive},
};

use opendag_protocol::search::{Extent, Part, Query, Term as Asked, Want};
use tantivy::{
    Searcher, Term,
    query::{
        AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, EmptyQuery, Occur, PhraseQuery,
        Query as Look, RangeQuery, TermQuery, TermSetQuery,
    },
    schema::{Field, IndexRecordOption},
    tokenizer::{TextAnalyzer, Token, TokenStream},
};

use super::{Fields, Index};
use crate::search::words::{self, is_unspaced};

/// Words that the beginning of one stands for: those that most datasets have.
const BEGINNINGS_MAX: usize = 64;
/// Words of a segment that are looked at for them.
const BEGINNINGS_LOOKED_AT: usize = 4096;
/// Words of one part of a query: its bytes are bounded, and this bounds what a word without spaces becomes.
const WORDS_PER_PART_MAX: usize = 32;

/// A name or title that has a word is about it; a card may only mention it.
const TITLE_WEIGHT: f32 = 4.0;
const ABOUT_WEIGHT: f32 = 2.0;
const EXACT_WEIGHT: f32 = 2.0;

/// A facet's value as the index has it.
pub(super) fn facet_term(facet: &str, value: &str) -> String {
    format!("{facet}:{value}")
}

/// What a query looks for, and whether something in it gives hits a score.
pub(super) struct Wanted {
    pub(super) look: Box<dyn Look>,
    pub(super) ranks: Ranks,
}

/// How hits are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ranks {
    ByScore,
    ByUpdate,
}

/// Translates a query.
pub(super) fn wanted(
    index: &Index,
    searcher: &Searcher,
    query: &Query,
    now: u64,
) -> tantivy::Result<Wanted> {
    let translate = Translate {
        fields: index.fields,
        searcher,
        now,
    };
    let mut clauses: Vec<(Occur, Box<dyn Look>)> = Vec::new();
    let mut ranks = Ranks::ByUpdate;
    for Part { want, term } in query.parts() {
        let Some(look) = translate.term(term)? else {
            continue;
        };
        let scored = matches!(term, Asked::Word(..) | Asked::Phrase(_));
        clauses.push(match want {
            Want::No => (Occur::MustNot, look),
            Want::Yes if scored => {
                ranks = Ranks::ByScore;
                (Occur::Must, look)
            }
            Want::Yes => (Occur::Must, Box::new(ConstScoreQuery::new(look, 0.0))),
        });
    }
    if !clauses.iter().any(|(occur, _)| *occur == Occur::Must) {
        clauses.push((Occur::Must, Box::new(AllQuery)));
    }
    let look: Box<dyn Look> = match (clauses.len(), clauses.pop()) {
        (1, Some((_, only))) => only,
        (_, last) => {
            clauses.extend(last);
            Box::new(BooleanQuery::new(clauses))
        }
    };
    Ok(Wanted { look, ranks })
}

struct Translate<'a> {
    fields: Fields,
    searcher: &'a Searcher,
    now: u64,
}

impl Translate<'_> {
    /// What a term looks for; `None` if it has neither letters nor digits.
    fn term(&self, term: &Asked) -> tantivy::Result<Option<Box<dyn Look>>> {
        Ok(match term {
            Asked::Word(word, extent) => self.word(word, *extent)?,
            Asked::Phrase(text) => self.phrase(text),
            Asked::Is(facet, values) => {
                let term = |value: &String| facet_term(facet.name(), value);
                Some(self.facets(values.iter().map(term)))
            }
            Asked::Size(range) => Some(within(self.fields.bytes, range)),
            Asked::Age(range) => {
                let from = self.now.saturating_sub(*range.end());
                let until = self.now.saturating_sub(*range.start());
                // What is dated in the future is new.
                let until = if *range.start() == 0 { u64::MAX } else { until };
                Some(within(self.fields.updated, &(from..=until)))
            }
        })
    }

    fn facets(&self, terms: impl Iterator<Item = String>) -> Box<dyn Look> {
        let mut terms: Vec<Term> = terms
            .map(|term| Term::from_field_text(self.fields.facet, &term))
            .collect();
        match (terms.len(), terms.pop()) {
            (1, Some(one)) => Box::new(TermQuery::new(one, IndexRecordOption::Basic)),
            (_, last) => Box::new(TermSetQuery::new(terms.into_iter().chain(last))),
        }
    }

    /// A word may be several, such as `image-net`: all of them must be there.
    fn word(&self, word: &str, extent: Extent) -> tantivy::Result<Option<Box<dyn Look>>> {
        let exact = tokens(words::exact(), word);
        let stemmed = tokens(words::stemmed(), word);
        let count = exact.len();
        let mut spaced = Vec::new();
        let mut pairs = Vec::new();
        for (number, (exact, stemmed)) in exact.iter().zip(&stemmed).enumerate() {
            let is_last = number + 1 == count;
            let unspaced = exact.text.chars().next().is_some_and(is_unspaced);
            // One sign alone begins pairs.
            let begins = (unspaced && exact.text.chars().count() == 1)
                || (is_last && extent == Extent::Beginning && !unspaced);
            let beginning = begins.then_some(exact.text.as_str());
            let look = self.one(&exact.text, &stemmed.text, beginning)?;
            let side = if unspaced { &mut pairs } else { &mut spaced };
            side.push(look);
        }
        let together = match (spaced.is_empty(), pairs.is_empty()) {
            (true, true) => return Ok(None),
            (false, true) => all(spaced),
            (_, false) => {
                spaced.push(most(pairs));
                all(spaced)
            }
        };
        if word.len() != ID_BYTES {
            return Ok(Some(together));
        }
        let id = self.facets([facet_term("id", word)].into_iter());
        Ok(Some(Box::new(BooleanQuery::union(vec![together, id]))))
    }

    /// One word, wherever it stands.
    fn one(
        &self,
        exact: &str,
        stemmed: &str,
        beginning: Option<&str>,
    ) -> tantivy::Result<Box<dyn Look>> {
        let fields = &self.fields;
        let term = |field, text: &str| -> Box<dyn Look> {
            let term = Term::from_field_text(field, text);
            Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))
        };
        let weighted = |look, weight| -> Box<dyn Look> { Box::new(BoostQuery::new(look, weight)) };
        let mut places = vec![
            weighted(term(fields.title, stemmed), TITLE_WEIGHT),
            weighted(term(fields.about, stemmed), ABOUT_WEIGHT),
            weighted(term(fields.exact, exact), EXACT_WEIGHT),
            term(fields.card, stemmed),
        ];
        if let Some(beginning) = beginning {
            let terms = self.beginning_with(beginning)?;
            if !terms.is_empty() {
                places.push(Box::new(TermSetQuery::new(terms)));
            }
        }
        Ok(Box::new(BooleanQuery::union(places)))
    }

    /// Words of names, titles, tags and paths that begin so, those that most datasets have.
    fn beginning_with(&self, beginning: &str) -> tantivy::Result<Vec<Term>> {
        let mut most: BinaryHeap<Reverse<(u32, Vec<u8>)>> = BinaryHeap::new();
        for segment in self.searcher.segment_readers() {
            let index = segment.inverted_index(self.fields.exact)?;
            let mut words = index
                .terms()
                .range()
                .ge(beginning.as_bytes())
                .into_stream()?;
            for _ in 0..BEGINNINGS_LOOKED_AT {
                if !words.advance() || !words.key().starts_with(beginning.as_bytes()) {
                    break;
                }
                most.push(Reverse((words.value().doc_freq, words.key().to_vec())));
                if most.len() > BEGINNINGS_MAX {
                    most.pop();
                }
            }
        }
        let term = |Reverse((_, word)): Reverse<(u32, Vec<u8>)>| {
            let word = String::from_utf8(word).ok()?;
            Some(Term::from_field_text(self.fields.exact, &word))
        };
        Ok(most.into_iter().filter_map(term).collect())
    }

    fn phrase(&self, text: &str) -> Option<Box<dyn Look>> {
        let tokens = tokens(words::stemmed(), text);
        if tokens.is_empty() {
            return None;
        }
        let fields = &self.fields;
        let weights = [
            (fields.title, TITLE_WEIGHT),
            (fields.about, ABOUT_WEIGHT),
            (fields.card, 1.0),
        ];
        let places = weights.map(|(field, weight)| -> Box<dyn Look> {
            let term = |token: &Token| (token.position, Term::from_field_text(field, &token.text));
            let look: Box<dyn Look> = match tokens.as_slice() {
                [one] => Box::new(TermQuery::new(term(one).1, IndexRecordOption::WithFreqs)),
                many => Box::new(PhraseQuery::new_with_offset(
                    many.iter().map(term).collect(),
                )),
            };
            Box::new(BoostQuery::new(look, weight))
        });
        Some(Box::new(BooleanQuery::union(places.into())))
    }
}

/// Bytes of an id as text.
const ID_BYTES: usize = 59;

/// The words of a part. The last sign of a run is none here, if it is in a pair.
fn tokens(mut analyzer: TextAnalyzer, text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    analyzer.token_stream(text).process(&mut |token| {
        let in_pair = tokens
            .last()
            .is_some_and(|before| before.offset_to == token.offset_to);
        if !in_pair && tokens.len() < WORDS_PER_PART_MAX {
            tokens.push(token.clone());
        }
    });
    tokens
}

fn all(mut looks: Vec<Box<dyn Look>>) -> Box<dyn Look> {
    match (looks.len(), looks.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            looks.extend(last);
            Box::new(BooleanQuery::intersection(looks))
        }
    }
}

/// Half of the pairs of a run must be there: of two words that stand together here and apart elsewhere, those
/// across their border are not.
fn most(pairs: Vec<Box<dyn Look>>) -> Box<dyn Look> {
    let needed = pairs.len() / 2 + 1;
    if needed >= pairs.len() {
        return all(pairs);
    }
    Box::new(BooleanQuery::union_with_minimum_required_clauses(
        pairs, needed,
    ))
}

fn within(field: Field, range: &RangeInclusive<u64>) -> Box<dyn Look> {
    if range.is_empty() {
        return Box::new(EmptyQuery);
    }
    let bound = |value| Bound::Included(Term::from_field_u64(field, value));
    Box::new(RangeQuery::new(bound(*range.start()), bound(*range.end())))
}
