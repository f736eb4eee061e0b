//! Fields that mean something in one process only.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;

use sharehold::{List, Shareable};

#[derive(Shareable)]
#[repr(C)]
struct Fields<'a> {
    name: &'a str,
}

#[derive(Shareable)]
#[repr(C)]
struct Borrowed {
    name: &'static str,
    list: &'static [u64],
    reference: &'static u64,
    pointer: *const u64,
    function: fn() -> u64,
    anything: &'static dyn Send,
}

#[derive(Shareable)]
#[repr(C)]
struct Owned {
    count: usize,
    difference: isize,
    letter: char,
    name: String,
    list: std::vec::Vec<u64>,
    boxed: Box<u64>,
    counted: Arc<u64>,
    guarded: Mutex<u64>,
    map: HashMap<u64, u64>,
    choice: Option<u64>,
    pair: (u32, u32),
}

#[derive(Shareable)]
#[repr(C)]
struct Nested {
    counts: [[usize; 2]; 2],
    lists: List<Option<u8>, 4>,
}

#[derive(Shareable)]
#[repr(C)]
struct Tuple(u64, char);

fn main() {}
