//! What the derive takes, whatever the program around it calls its own.

#![deny(warnings)]
#![deny(clippy::all, clippy::pedantic)]
#![no_implicit_prelude]

use ::sharehold::{List, Shareable, Text};

/// Names that the standard library has, too.
mod names {
    #[derive(::sharehold::Shareable)]
    #[repr(C)]
    pub struct Option(pub u8);

    #[derive(::sharehold::Shareable)]
    #[repr(i64)]
    pub enum Cell {
        None = -1,
        Some,
        r#Ok = 1 << 40,
    }
}

#[derive(Shareable)]
#[repr(C, align(8))]
#[shareable(version = 4_000_000_000)]
struct Line {
    r#type: names::Cell,
    choice: [names::Option; 4],
    from: u32,
    to: List<Text<8>, 2>,
    number: u64,
    self_: f64,
}

fn main() {
    ::std::assert_eq!(::sharehold::Schema::of::<Line>().size(), 72);
}
