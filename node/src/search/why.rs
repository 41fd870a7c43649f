//! Why something was found: where the words of a query stand, and what stands around them.

use std::{collections::BTreeSet, ops::Range};

use opendag_protocol::search::{Extent, Query, Term, Want};

use tantivy::tokenizer::TokenStream;

use super::words;

/// Signs on each side of a word that are shown with it.
const AROUND: usize = 60;

/// The words of a query, as the index has them.
#[derive(Debug, Default)]
pub(super) struct Words {
    whole: BTreeSet<String>,
    beginning: Option<String>,
}

impl Words {
    /// Those that must be there.
    pub(super) fn of(query: &Query) -> Self {
        let mut words = Self::default();
        for part in query.parts().iter().filter(|part| part.want == Want::Yes) {
            let (text, extent) = match &part.term {
                Term::Word(text, extent) => (text, *extent),
                Term::Phrase(text) => (text, Extent::Whole),
                Term::Is(..) | Term::Size(_) | Term::Age(_) => continue,
            };
            let mut stemmed = words::stemmed();
            let mut stream = stemmed.token_stream(text);
            stream.process(&mut |token| {
                words.whole.insert(token.text.clone());
            });
            if extent == Extent::Beginning {
                let mut exact = words::exact();
                let mut stream = exact.token_stream(text);
                stream.process(&mut |token| words.beginning = Some(token.text.clone()));
            }
        }
        words
    }

    /// Where the first of them stands in a text.
    fn first_in(&self, text: &str) -> Option<Range<usize>> {
        let mut stemmed = words::stemmed();
        let mut stream = stemmed.token_stream(text);
        while stream.advance() {
            let token = stream.token();
            let place = token.offset_from..token.offset_to;
            let word = text.get(place.clone()).unwrap_or_default().to_lowercase();
            let begins = self
                .beginning
                .as_deref()
                .is_some_and(|beginning| word.starts_with(beginning));
            if begins || self.whole.contains(&token.text) {
                return Some(place);
            }
        }
        None
    }

    /// Does one of them stand in this text?
    pub(super) fn are_in(&self, text: &str) -> bool {
        self.first_in(text).is_some()
    }

    /// The first of them with what stands around it, on one line.
    pub(super) fn around(&self, text: &str) -> Option<String> {
        let place = self.first_in(text)?;
        let before = text.get(..place.start)?;
        let start = before
            .char_indices()
            .rev()
            .take(AROUND)
            .last()
            .map_or(place.start, |(at, _)| at);
        let after = text.get(place.end..)?;
        let end = after
            .char_indices()
            .nth(AROUND)
            .map_or(text.len(), |(at, _)| place.end + at);
        let words: Vec<&str> = text.get(start..end)?.split_whitespace().collect();
        let (left, right) = (
            if start > 0 { "…" } else { "" },
            if end < text.len() { "…" } else { "" },
        );
        Some(format!("{left}{}{right}", words.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(query: &str, text: &str) -> Option<String> {
        Words::of(&query.parse().unwrap()).around(text)
    }

    #[test]
    fn the_first_word_is_shown_with_what_stands_around_it() {
        let long = format!(
            "{} the translated\n books {}",
            "a ".repeat(90),
            "z".repeat(90)
        );
        let shown = around("translation", &long).unwrap();
        assert!(shown.starts_with("…a") && shown.ends_with("z…"), "{shown}");
        assert!(shown.contains("the translated books"), "{shown}");
        assert_eq!(around("tra", "a train").as_deref(), Some("a train"));
        assert_eq!(around("数据", "中文数据集").as_deref(), Some("中文数据集"));
        assert_eq!(around("-train license:mit", "a train"), None);
        assert_eq!(around("other", "a train"), None);
    }
}
