//! Structs that are not made of parts.

use sharehold::{Event, Mutex, Part};

#[derive(Part)]
struct Value {
    event: Event,
    count: u64,
}

#[derive(Part)]
struct Inside {
    mutex: Mutex<Vec<u8>>,
}

#[derive(Part)]
struct Unnamed(Event);

#[derive(Part)]
struct Nothing {}

#[derive(Part)]
enum Either {
    Event(Event),
}

#[derive(Part)]
struct Generic<T> {
    mutex: Mutex<T>,
}

fn main() {}
