//! Shares two licences among any number of processes.
//!
//! Run it in three terminals:
//!
//! ```text
//! $ cargo run --example licence_pool
//! pid 4711 has a licence; press Enter to return it
//!
//! $ cargo run --example licence_pool
//! pid 4712 has a licence; press Enter to return it
//!
//! $ cargo run --example licence_pool
//! all 2 licences are in use; pid 4713 waits
//! ```
//!
//! Kill one of the first two with `kill -9 4711`. Its licence comes back without any clean-up, and
//! the third process prints:
//!
//! ```text
//! pid 4713 has a licence; press Enter to return it
//! ```
//!
//! The same program is a pool of connections, of graphics cards, or of places for heavy jobs.

use std::io;
use std::process::id;

use sharehold::{ErrorKind, Part, Result, Semaphore};

const KEY: &str = "com.example.licence-pool";
const LICENCES: u32 = 2;

fn main() -> Result<()> {
    let pool = Semaphore::open_or_create(KEY, || LICENCES)?;

    let licence = match pool.try_acquire() {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            println!("all {LICENCES} licences are in use; pid {} waits", id());
            pool.acquire()?
        }
        outcome => outcome?,
    };
    println!("pid {} has a licence; press Enter to return it", id());
    let _ = io::stdin().read_line(&mut String::new());

    drop(licence);
    println!("pid {} returned its licence", id());
    Ok(())
}
