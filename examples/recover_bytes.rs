//! Repairs bytes that a process left half changed when it was killed.
//!
//! The segment is an account book: a total, and the amounts that it is the sum of. The program
//! adds an amount. It waits between the two writes that this takes, so that you can kill it there:
//!
//! ```text
//! $ cargo run --example recover_bytes -- 5
//! wrote the amount 5, but not the total; press Enter to go on
//! the total is 5
//!
//! $ cargo run --example recover_bytes -- 7
//! wrote the amount 7, but not the total; press Enter to go on
//! ```
//!
//! Now kill it with `kill -9`, and start it again in the other terminal, before the kill or after
//! it. The lock reports the death, and the program adds the amounts up again:
//!
//! ```text
//! $ cargo run --example recover_bytes -- 1
//! pid 4712 (recover_bytes) died holding it; the total was 5, and is 12
//! ```
//!
//! The book is persistent. `sharehold rm com.example.recover-bytes` removes it. Use a transaction
//! (`Segment::transaction`) if no repair should be necessary.

use std::error::Error;
use std::{env, io};

use sharehold::{LockError, Policy, Segment, SegmentData, SegmentGuard};

const KEY: &str = "com.example.recover-bytes";
const SIZE: usize = 1024;
/// The offset of the total, a `u64`.
const TOTAL: usize = 0;
/// The offset of the first amount, a `u32` like all others. Zero marks a free place.
const AMOUNTS: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let amount: u32 = env::args().nth(1).ok_or("give an amount to add")?.parse()?;
    let options = Segment::options().size(SIZE).policy(Policy::Persistent);
    let segment = options.open_or_create(KEY)?;

    let mut book = lock(&segment)?;
    let (sum, free) = add_up(&book)?;
    book.write_at(free, &amount)?;
    println!("wrote the amount {amount}, but not the total; press Enter to go on");
    let _ = io::stdin().read_line(&mut String::new());
    let total = sum + u64::from(amount);
    book.write_at(TOTAL, &total)?;
    println!("the total is {total}");
    Ok(())
}

/// Locks the book. If its last owner died, makes the total the sum of the amounts again.
fn lock(segment: &Segment) -> sharehold::Result<SegmentGuard<'_>> {
    match segment.lock() {
        Ok(book) => Ok(book),
        Err(LockError::Abandoned(found)) => {
            let death = found.to_string();
            found.recover(|book| {
                let was: u64 = book.read_at(TOTAL)?;
                let (sum, _) = add_up(book)?;
                println!("{death}; the total was {was}, and is {sum}");
                book.write_at(TOTAL, &sum)
            })
        }
        Err(refused) => Err(refused.into()),
    }
}

/// Returns the sum of the amounts, and the offset of the first free place.
fn add_up(book: &SegmentData<'_>) -> sharehold::Result<(u64, usize)> {
    let mut sum = 0;
    let mut offset = AMOUNTS;
    loop {
        // In a full book this is `OutOfBounds`.
        match book.read_at::<u32>(offset)? {
            0 => return Ok((sum, offset)),
            amount => sum += u64::from(amount),
        }
        offset += size_of::<u32>();
    }
}
