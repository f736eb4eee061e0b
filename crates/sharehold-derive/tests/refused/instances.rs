//! Types of the library's own that are refused for what is put into them.

use sharehold::{List, Schema};

fn main() {
    Schema::of::<[u8; 0]>();
    Schema::of::<List<u128, 1>>();
}
