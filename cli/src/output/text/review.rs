//! Reviews as `show` and `review` print them.

use opendag_node::ops::{ReviewInfo, ReviewsInfo};

use super::{Lines, escape, version::time};

/// What was said just now.
pub(super) fn said(lines: &mut Lines, review: &ReviewInfo) {
    let subject = review.subject;
    let what = if review.of_version {
        "version"
    } else {
        "dataset"
    };
    match &review.opinion {
        Some(opinion) => lines.add(format_args!(
            "Your review of the {what} {subject} is {} of 5.",
            opinion.rating
        )),
        None => lines.add(format_args!(
            "Your review of the {what} {subject} is taken back."
        )),
    }
    lines.field("By", Some(&review.author));
    lines.field("Record", Some(&review.id.to_string()));
}

/// How many there are, their mean, and the newest.
pub(super) fn all(lines: &mut Lines, reviews: &ReviewsInfo) {
    let Some(mean) = reviews.mean else { return };
    let authors = match reviews.count {
        1 => "1 author".to_owned(),
        count => format!("{count} authors"),
    };
    lines.add(format_args!(
        "{:<12} {mean:.1} of 5, by {authors}",
        "Reviews"
    ));
    for review in &reviews.newest {
        let Some(opinion) = &review.opinion else {
            continue;
        };
        let of = if review.of_version {
            ", of this version"
        } else {
            ""
        };
        let tags = match opinion.tags.as_slice() {
            [] => String::new(),
            tags => format!(" [{}]", tags.join(", ")),
        };
        lines.add(format_args!(
            "{:<12} {} of 5 by {}, {}{of}{}",
            "",
            opinion.rating,
            escape(&review.author),
            time(review.issued_at),
            escape(&tags)
        ));
        // Line by line: a stranger's paragraphs cannot look like fields of ours.
        for line in opinion.text.iter().flat_map(|text| text.lines()) {
            lines.add(format_args!("{:<14} {}", "", escape(line)));
        }
    }
}
