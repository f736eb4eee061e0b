//! The items that the code of the derives refers to.

pub use super::layout::{Initializer, LayoutCursor};
pub use crate::schema::support::*;
