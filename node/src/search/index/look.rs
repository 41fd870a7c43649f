//! Carrying a query out.

use std::ops::Range;

use opendag_protocol::search::Query;
use tantivy::{DocAddress, Order, Searcher, TantivyDocument, collector::TopDocs};

use super::{
    Hit, Index, UPDATED,
    terms::{self, Ranks},
};

pub(super) fn search(
    index: &Index,
    query: &Query,
    range: Range<usize>,
    now: u64,
) -> tantivy::Result<Vec<Hit>> {
    let searcher = index.reader.searcher();
    let wanted = terms::wanted(index, &searcher, query, now)?;
    let top = TopDocs::for_doc_range(range);
    match wanted.ranks {
        Ranks::ByScore => {
            let found = searcher.search(&*wanted.look, &top.order_by_score())?;
            let score = |(score, at): (f32, DocAddress)| (f64::from(score), at);
            hits(index, &searcher, found.into_iter().map(score))
        }
        Ranks::ByUpdate => {
            let newest = top.order_by_u64_field(UPDATED, Order::Desc);
            let found = searcher.search(&*wanted.look, &newest)?;
            // Seconds since 1970 stay exact for 100 million years.
            let score = |(updated, at): (Option<u64>, DocAddress)| {
                let updated = u32::try_from(updated.unwrap_or(0)).unwrap_or(u32::MAX);
                (f64::from(updated), at)
            };
            hits(index, &searcher, found.into_iter().map(score))
        }
    }
}

fn hits(
    index: &Index,
    searcher: &Searcher,
    found: impl Iterator<Item = (f64, DocAddress)>,
) -> tantivy::Result<Vec<Hit>> {
    let mut hits = Vec::new();
    for (score, at) in found {
        let document: TantivyDocument = searcher.doc(at)?;
        if let Some((dataset, _)) = index.fields.read(&document) {
            hits.push(Hit { dataset, score });
        }
    }
    Ok(hits)
}
