//! `search`: datasets that this node knows of.

use clap::Args;
use opendag_node::ops::{Operation, SearchRequest};

/// Arguments of `search`.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = "\
All of it must fit; what has - before it must not. The last word may be the beginning of one.

  \"two words\"      words that stand beside each other
  license:mit      a licence; license:mit,apache-2.0 any of them; as with all facets with words
  lang:zh          a language
  tag:vision       a tag
  publisher:KEY    a publisher's public key, or your alias for it
  size:>10GB       bytes of all files; also < >= <=
  updated:<30d     the newest version is younger than that; updated:>1y older
  has:croissant    also card, description, license, lineage, mirror, title

A shell takes quotation marks and > for itself: write opendag search '\"two words\" size:>10GB'.
A search with a part that must not fit: opendag search -- speech -noise")]
pub struct SearchArgs {
    /// Words and facets; none: all datasets, those that were updated last first
    pub text: Vec<String>,
    /// Hits at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: u64,
    /// Hits to leave out before
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub offset: u64,
}

impl SearchArgs {
    pub(super) fn operation(self) -> Operation {
        Operation::Search(SearchRequest {
            query: self.text.join(" "),
            limit: Some(self.limit),
            offset: self.offset,
        })
    }
}
