//! A type that does something when it is dropped, which would happen in every process.

use sharehold::Shareable;

#[derive(Shareable)]
#[repr(C)]
struct Handle {
    number: u64,
}

impl Drop for Handle {
    fn drop(&mut self) {}
}

fn main() {}
