//! Who is to blame for a failure, and so how a command ends.

use crate::store::KeyStoreError;

/// What kind of failure an operation ended in. Retry, blame and exit code follow from it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Our machine, disk or a passing condition failed: try again after mending it.
    Local,
    /// What the user gave cannot be used.
    Input,
    /// Nothing was found in time.
    NotFound,
    /// A signature, hash or rule said no.
    Refused,
}

impl Fault {
    /// The process exit code: 1 failed, 2 bad input, 3 not found in time, 4 refused.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Local => 1,
            Self::Input => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
        }
    }
}

/// An error, then those of its causes that it does not tell by itself, joined by colons, without a full stop.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let text = source.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = source.source();
    }
    message.trim_end_matches('.').to_owned()
}

/// Who is to blame for what a key store said.
pub(crate) fn of_keys(error: &KeyStoreError) -> Fault {
    match error {
        KeyStoreError::NotFound { .. }
        | KeyStoreError::Exists { .. }
        | KeyStoreError::BadName { .. }
        | KeyStoreError::NotAKey => Fault::Input,
        KeyStoreError::DataDir(_) => Fault::Local,
    }
}
