//! The promises, each held to by real processes that are really killed, stopped, forked and shut out.
//!
//! Each file is about one kind of trouble and each test is named after what is promised about it. Tests and their
//! children are processes of this program: see `sharehold_testkit`.

mod create;
mod life;
mod locks;
mod peers;

use std::process::ExitCode;

fn main() -> ExitCode {
    sharehold_testkit::main([
        create::suite(),
        life::suite(),
        locks::suite(),
        peers::suite(),
    ])
}
