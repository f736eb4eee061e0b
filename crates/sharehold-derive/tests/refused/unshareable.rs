//! A field, or a value, of a type that the derive cannot know.

use std::time::Duration;

use sharehold::{Schema, Shareable};

struct Plain {
    value: u64,
}

#[derive(Shareable)]
#[repr(C)]
struct Holder {
    plain: Plain,
    time: Duration,
}

fn main() {
    Schema::of::<usize>();
}
