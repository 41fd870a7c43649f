//! What stays on disk: pins, letting go, freeing.
//!
//! Kept is what the user put here, until they let it go. A pin keeps a version, or all versions of a dataset that are
//! here or come, whatever else asks for their room.

mod free;
mod holds;
mod pin;

use self::holds::Holds;
pub(crate) use self::{
    free::{gc, rm, unpin},
    pin::{keep_places, pin, pins},
};
