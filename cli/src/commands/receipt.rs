//! `receipt`: a signed statement of what was verified here.

use std::path::PathBuf;

use clap::Args;
use opendag_node::ops::{Operation, ReceiptRequest};

use super::{Task, Written};
use crate::{error::CliError, link::resolve};

/// Arguments of `receipt`.
#[derive(Clone, Debug, Args)]
pub struct ReceiptArgs {
    /// Link, id or name of a version that lies here
    pub link: String,
    /// New file to write to [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Publisher key to sign with [default: the key of this node]
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
}

impl ReceiptArgs {
    pub(super) fn task(self) -> Result<Task, CliError> {
        let request = ReceiptRequest {
            link: resolve(self.link)?,
            key: self.key,
        };
        Ok(Task::Export(
            Operation::Receipt(request),
            Written::AsItIs,
            self.output,
        ))
    }
}
