//! Things that cannot be said with `#[shareable(…)]`.

use sharehold::Shareable;

#[derive(Shareable)]
#[repr(C)]
#[shareable(version = 0)]
struct Zero(u64);

#[derive(Shareable)]
#[repr(C)]
#[shareable(version = "2")]
struct Quoted(u64);

#[derive(Shareable)]
#[repr(C)]
#[shareable(name = "Other")]
struct Unknown(u64);

#[derive(Shareable)]
#[repr(u8)]
#[shareable(version = 2)]
enum State {
    Idle,
}

fn main() {}
