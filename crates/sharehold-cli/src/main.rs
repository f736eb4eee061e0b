//! The `sharehold` command.
fn main() {}
