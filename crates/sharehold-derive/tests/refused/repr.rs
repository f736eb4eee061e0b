//! A type whose layout Rust may choose, or that has fields out of place.

use sharehold::Shareable;

#[derive(Shareable)]
struct Unordered {
    value: u64,
}

#[derive(Shareable)]
#[repr(transparent)]
struct Transparent(u64);

#[derive(Shareable)]
#[repr(C, packed(2))]
struct Packed {
    value: u64,
}

#[derive(Shareable)]
enum Widthless {
    Idle,
}

#[derive(Shareable)]
#[repr(usize)]
enum Width {
    Idle,
}

fn main() {}
