//! Where words begin and end, for the index and for queries alike.
//!
//! Letters and digits that stand together are a word, so paths and ids fall apart at their separators.
//! Chinese, Japanese and Korean have no spaces: each two neighbours are a word, and the last sign of a run is
//! one too, so that each sign begins a word. A dictionary would tell real words; jieba's has 349,000,
//! 5 MB of text, which each node would have to hold in memory, and it does not know the names that data has.
//! Pairs find all that it finds, and the ranking puts whole matches first.

use std::{iter::Peekable, str::CharIndices};

use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, RemoveLongFilter, Stemmer, TextAnalyzer, Token,
    TokenStream, Tokenizer,
};

/// Bytes of a word: an id has 59. What is longer is no word, and would only fill the index.
pub(super) const WORD_BYTES_MAX: usize = 64;

/// Words as they are, in lower case and without accents.
pub(super) fn exact() -> TextAnalyzer {
    TextAnalyzer::builder(Words)
        .filter(RemoveLongFilter::limit(WORD_BYTES_MAX + 1))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .build()
}

/// As [`exact`], with the endings of English words taken off.
pub(super) fn stemmed() -> TextAnalyzer {
    TextAnalyzer::builder(Words)
        .filter(RemoveLongFilter::limit(WORD_BYTES_MAX + 1))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .filter(Stemmer::new(Language::English))
        .build()
}

/// Is it a sign of a script without spaces?
pub(super) fn is_unspaced(sign: char) -> bool {
    matches!(
        u32::from(sign),
        0x3040..=0x30FF // kana
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x323AF // Han
        | 0xAC00..=0xD7AF // Hangul
    )
}

/// Splits text into words.
#[derive(Clone, Debug)]
struct Words;

/// The words of a text.
struct Stream<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
    token: Token,
}

impl Tokenizer for Words {
    type TokenStream<'a> = Stream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Stream<'a> {
        Stream {
            text,
            chars: text.char_indices().peekable(),
            token: Token::default(),
        }
    }
}

impl Stream<'_> {
    /// Where the next word begins and ends.
    fn next_word(&mut self) -> Option<(usize, usize)> {
        let (start, first) = self.chars.find(|(_, sign)| sign.is_alphanumeric())?;
        let unspaced = is_unspaced(first);
        let mut end = start + first.len_utf8();
        while let Some((at, sign)) = self.chars.peek().copied() {
            if !sign.is_alphanumeric() || is_unspaced(sign) != unspaced {
                break;
            }
            end = at + sign.len_utf8();
            if unspaced {
                // It stays: the next word begins with it.
                break;
            }
            self.chars.next();
        }
        Some((start, end))
    }
}

impl TokenStream for Stream<'_> {
    fn advance(&mut self) -> bool {
        let Some((start, end)) = self.next_word() else {
            return false;
        };
        self.token.text.clear();
        self.token
            .text
            .push_str(self.text.get(start..end).unwrap_or_default());
        self.token.offset_from = start;
        self.token.offset_to = end;
        self.token.position = self.token.position.wrapping_add(1);
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(mut analyzer: TextAnalyzer, text: &str) -> Vec<String> {
        let mut words = Vec::new();
        analyzer
            .token_stream(text)
            .process(&mut |token| words.push(token.text.clone()));
        words
    }

    #[test]
    fn words_end_at_separators_and_lose_case_and_accents() {
        assert_eq!(
            words(exact(), "Train/café_labels-v1.2.JSONL"),
            ["train", "cafe", "labels", "v1", "2", "jsonl"]
        );
        assert_eq!(words(stemmed(), "Translated images"), ["translat", "imag"]);
        assert_eq!(words(exact(), &"a".repeat(WORD_BYTES_MAX + 1)), [""; 0]);
    }

    #[test]
    fn each_two_signs_without_spaces_are_a_word_and_each_begins_one() {
        assert_eq!(words(stemmed(), "数据集"), ["数据", "据集", "集"]);
        assert_eq!(
            words(stemmed(), "BERT中文 模型v2。猫"),
            ["bert", "中文", "文", "模型", "型", "v2", "猫"]
        );
    }
}
