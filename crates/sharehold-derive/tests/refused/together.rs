//! All mistakes of a type are reported at once, and none of them again where the type is used.

use sharehold::{Event, Mutex, Part, Schema, Shareable};

#[derive(Shareable)]
#[shareable(version = 0)]
struct Inner {
    count: usize,
    name: String,
}

#[derive(Shareable)]
#[repr(C)]
struct Outer {
    inner: Inner,
    more: [Inner; 2],
}

#[derive(Shareable)]
enum State {
    Idle,
    Busy(u64),
    Done { at: u64 },
}

#[derive(Part)]
struct Parts {
    ready: Event,
    count: u64,
    names: Mutex<Vec<u8>>,
    state: Mutex<State>,
}

fn main() {
    Schema::of::<Outer>();
    let _ = Parts::open_or_create("key", || loop {});
}
