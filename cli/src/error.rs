//! Errors of commands: full sentences and exit codes.

/// Why a command ended without success. Its text is what the user reads.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The user's input cannot be used.
    #[error("{0}")]
    Input(String),
    /// Something on this machine failed.
    #[error("{0}")]
    Failed(String),
    /// The node ended the operation; it was told already.
    #[error("{message}")]
    Operation {
        /// What the node said.
        message: String,
        /// The exit code that it asked for.
        exit_code: u8,
    },
    /// The node did not start.
    #[error("{message}")]
    Start {
        /// A sentence.
        message: String,
        /// The exit code that it asks for.
        exit_code: u8,
    },
    /// The user stopped the command.
    #[error(
        "Interrupted. Nothing is lost: run the same command again, and it goes on where it stopped."
    )]
    Interrupted {
        /// The signal's number.
        signal: u8,
    },
}

impl CliError {
    /// A failure on this machine, with all its causes in one sentence.
    pub(crate) fn failed(what: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Failed(format!("{what}: {}.", opendag_node::with_causes(error)))
    }

    /// The process' exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Failed(_) => 1,
            Self::Operation { exit_code, .. } | Self::Start { exit_code, .. } => {
                (*exit_code).max(1)
            }
            Self::Interrupted { signal } => signal.saturating_add(128),
        }
    }
}
