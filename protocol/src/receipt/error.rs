//! Why bytes are no receipt.

use crate::{cbor::CborError, key::KeyError, limits::RECEIPT_BYTES_MAX, record::FieldProblem};

/// Why a text is no receipt, or a receipt cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// More than [`RECEIPT_BYTES_MAX`].
    #[error("it is larger than {RECEIPT_BYTES_MAX} bytes")]
    TooLarge,
    /// Not the text of a receipt.
    #[error("it is not a receipt")]
    NotAReceipt,
    /// Not canonical, or not of the form of a receipt.
    #[error("it is not a receipt")]
    Form(#[source] CborError),
    /// Another version of the format.
    #[error("it has version {0} of the format of receipts, which this program does not know")]
    Version(u64),
    /// A field that breaks a rule.
    #[error("its field \"{field}\" is not valid: {problem}")]
    Field {
        /// Which one.
        field: &'static str,
        /// Why.
        problem: FieldProblem,
    },
    /// The signature does not hold.
    #[error("its signature is refused")]
    Signature(#[source] KeyError),
}
