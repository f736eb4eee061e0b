//! Types that cannot be shared, whatever their fields.

use sharehold::Shareable;

#[derive(Shareable)]
#[repr(C)]
struct Generic<T> {
    value: T,
}

#[derive(Shareable)]
#[repr(C)]
struct Empty {}

#[derive(Shareable)]
#[repr(C)]
struct Unit;

#[derive(Shareable)]
#[repr(C)]
union Either {
    number: u64,
    bytes: [u8; 8],
}

#[derive(Shareable)]
#[repr(u8)]
enum Choice {
    None,
    Some(u8),
}

#[derive(Shareable)]
enum Never {}

fn main() {}
