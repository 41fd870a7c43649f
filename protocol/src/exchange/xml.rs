//! A document as XML: each field an element of its name, a list the same element several times. No
//! attributes, no document type, no entities but the five of XML.

use quick_xml::{Reader, de, events::Event, se};
use serde::Serialize as _;

use super::{Document, ExchangeError};
use crate::limits::EXCHANGE_XML_DEPTH_MAX;

/// The outermost element.
const ROOT: &str = "opendag-manifest";
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// Why a text is not the XML of a document.
#[derive(Debug, thiserror::Error)]
pub enum XmlError {
    /// Not text.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// Not well-formed.
    #[error("it is not well-formed")]
    Form(#[source] quick_xml::Error),
    /// Something that XML has and the format does not.
    #[error("it has {0}, which the format does not have")]
    Unwanted(&'static str),
    /// Elements in elements in elements.
    #[error("its elements are nested deeper than {EXCHANGE_XML_DEPTH_MAX}")]
    TooDeep,
    /// It ends before its outermost element does.
    #[error("it ends too early")]
    Short,
    /// Well-formed, and something else.
    #[error("it says something else")]
    Other(#[source] quick_xml::DeError),
}

pub(super) fn write(document: &Document) -> Result<String, ExchangeError> {
    let mut text = DECLARATION.to_owned();
    let mut serializer =
        se::Serializer::with_root(&mut text, Some(ROOT)).map_err(ExchangeError::write)?;
    serializer.indent(' ', 2);
    document
        .serialize(serializer)
        .map_err(ExchangeError::write)?;
    text.push('\n');
    Ok(text)
}

pub(super) fn read(bytes: &[u8]) -> Result<Document, ExchangeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ExchangeError::Xml(XmlError::NotUtf8))?;
    check(text).map_err(ExchangeError::Xml)?;
    de::from_str(text).map_err(|error| ExchangeError::Xml(XmlError::Other(error)))
}

/// Checks that it is one element of the right name with elements and text, nested within the limit.
fn check(text: &str) -> Result<(), XmlError> {
    let mut reader = Reader::from_str(text);
    let (mut depth, mut roots) = (0_usize, 0_usize);
    loop {
        let event = reader.read_event().map_err(XmlError::Form)?;
        match event {
            Event::Eof if depth == 0 && roots == 1 => return Ok(()),
            Event::Eof => return Err(XmlError::Short),
            Event::Start(ref start) | Event::Empty(ref start) => {
                if !start.attributes_raw().trim_ascii().is_empty() {
                    return Err(XmlError::Unwanted("an attribute"));
                }
                if depth == 0 {
                    roots += 1;
                    if roots > 1 || start.name().as_ref() != ROOT {
                        return Err(XmlError::Unwanted("another outermost element"));
                    }
                }
                if matches!(event, Event::Start(_)) {
                    depth += 1;
                }
                if depth > EXCHANGE_XML_DEPTH_MAX {
                    return Err(XmlError::TooDeep);
                }
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Text(ref text) if depth == 0 => {
                if !text.trim_ascii().is_empty() {
                    return Err(XmlError::Unwanted("text outside of elements"));
                }
            }
            Event::CData(_) | Event::GeneralRef(_) if depth == 0 => {
                return Err(XmlError::Unwanted("text outside of elements"));
            }
            Event::DocType(_) => return Err(XmlError::Unwanted("a document type")),
            Event::PI(_) => return Err(XmlError::Unwanted("a processing instruction")),
            Event::Decl(_) | Event::Comment(_) => {}
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {}
        }
    }
}
