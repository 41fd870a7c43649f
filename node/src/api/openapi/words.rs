//! Doc comments as text for readers who do not know the code.

use serde_json::Value;

/// Makes all descriptions inside a schema plain.
pub(super) fn make_plain(schema: &mut Value) {
    let mut rest = vec![schema];
    while let Some(value) = rest.pop() {
        match value {
            Value::Object(fields) => {
                // A property may have that name, too.
                if let Some(Value::String(text)) = fields.get_mut("description") {
                    *text = plain(text);
                }
                rest.extend(fields.values_mut());
            }
            Value::Array(values) => rest.extend(values),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// A doc comment without links to Rust's items: events by their names, fields as `Type.field`, `None` as
/// `null`, and no line breaks inside of a paragraph.
pub(super) fn plain(comment: &str) -> String {
    let paragraphs = comment.split("\n\n").map(|paragraph| {
        let words: Vec<_> = paragraph.split_whitespace().collect();
        words.join(" ")
    });
    let mut rest = paragraphs.collect::<Vec<_>>().join("\n\n");
    let mut text = String::new();
    while let Some((before, link)) = rest.split_once("[`") {
        let Some((item, after)) = link.split_once("`]") else {
            break;
        };
        text += &format!("{before}`{}`", name(item));
        rest = after.to_owned();
    }
    (text + &rest).replace("`None`", "`null`")
}

/// What an item is called outside of the code.
fn name(item: &str) -> String {
    let mut parts = item.rsplit("::");
    let last = parts.next().unwrap_or_default();
    match parts.next() {
        Some("Event") => snake_case(last),
        Some(of) if of.starts_with(char::is_uppercase) => format!("{of}.{last}"),
        Some(_) | None => last.to_owned(),
    }
}

/// As serde writes the name of a variant.
fn snake_case(variant: &str) -> String {
    let mut name = String::new();
    for letter in variant.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn links_become_names_that_an_answer_has() {
        let comment = "Ends in [`super::Event::BadPeer`], or\nas [`FetchRequest::link`]; `None`: what\n\n[`crate::export`] says.";
        let text = "Ends in `bad_peer`, or as `FetchRequest.link`; `null`: what\n\n`export` says.";
        assert_eq!(plain(comment), text);
        assert_eq!(plain("no end [`x"), "no end [`x");
    }

    #[test]
    fn a_property_of_that_name_is_no_description() {
        let mut schema = json!({ "properties": { "description": { "description": "a [`B`]" } } });
        make_plain(&mut schema);
        assert_eq!(
            schema.pointer("/properties/description/description"),
            Some(&json!("a `B`"))
        );
    }
}
