//! The little XML that S3 needs.

use std::time::Duration;

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use opendag_protocol::Timestamp;
use quick_xml::escape::escape;

/// The name space of S3's answers.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// A document that is being written.
pub(super) struct Xml {
    text: String,
    root: &'static str,
}

impl Xml {
    pub(super) fn new(root: &'static str) -> Self {
        Self::begin(root, &format!(" xmlns=\"{NAMESPACE}\""))
    }

    /// Errors have no name space: clients do not find their code in one.
    pub(super) fn error() -> Self {
        Self::begin("Error", "")
    }

    fn begin(root: &'static str, attributes: &str) -> Self {
        let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root}{attributes}>");
        Self { text, root }
    }

    pub(super) fn open(&mut self, name: &str) {
        self.text.push_str(&format!("<{name}>"));
    }

    pub(super) fn close(&mut self, name: &str) {
        self.text.push_str(&format!("</{name}>"));
    }

    /// An element with this content. What XML cannot say, as a client may send it, is said with a sign for it.
    pub(super) fn text(&mut self, name: &str, content: &str) {
        let sayable = |char: char| match char {
            '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'.. => char,
            _ => char::REPLACEMENT_CHARACTER,
        };
        let content: String = content.chars().map(sayable).collect();
        self.open(name);
        self.text.push_str(&escape(&content));
        self.close(name);
    }

    pub(super) fn response(mut self, status: StatusCode) -> Response {
        self.close(self.root);
        (
            status,
            [(header::CONTENT_TYPE, "application/xml")],
            self.text,
        )
            .into_response()
    }
}

/// As S3 writes it: RFC 3339 with milliseconds.
pub(super) fn date(at: Timestamp) -> String {
    let at = std::time::UNIX_EPOCH.checked_add(Duration::from_secs(at.as_secs()));
    humantime::format_rfc3339_millis(at.unwrap_or(std::time::UNIX_EPOCH)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s15_text_of_strangers_is_text() {
        let mut xml = Xml::error();
        xml.text("Message", "<b>&\0\u{1b}[2J\u{ffff}\u{1f600}\n");
        let expected =
            "<Error><Message>&lt;b&gt;&amp;\u{fffd}\u{fffd}[2J\u{fffd}\u{1f600}\n</Message>";
        assert!(xml.text.ends_with(expected), "{}", xml.text);
    }
}
