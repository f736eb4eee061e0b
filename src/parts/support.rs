//! What the code that the derives generate stands on.

pub use super::place::{Draft, Walk};
pub use crate::schema::support::*;
