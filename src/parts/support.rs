//! What the code that the derives generate stands on.

pub use super::layout::{Initializer, LayoutCursor};
pub use crate::schema::support::*;
