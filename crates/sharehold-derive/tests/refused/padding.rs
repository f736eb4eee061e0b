//! Bytes that belong to no field.

use sharehold::{List, Shareable, Text};

#[derive(Shareable)]
#[repr(C)]
struct Before {
    id: u32,
    limit: u64,
}

#[derive(Shareable)]
#[repr(C)]
struct Behind {
    limit: u64,
    name: Text<7>,
}

#[derive(Shareable)]
#[repr(C)]
struct Tuple(u8, u16);

#[derive(Shareable)]
#[repr(C)]
struct Listed {
    reserved: u64,
    list: List<u128, 2>,
}

#[derive(Shareable)]
#[repr(C, align(64))]
struct Line {
    value: u64,
}

fn main() {}
