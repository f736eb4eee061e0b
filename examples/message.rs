//! Leaves a message for the next process: run it in two terminals.
//!
//! ```text
//! $ cargo run --example message
//! $ cargo run --example message -- "Something longer than the segment has room for, so that it has to grow …"
//! ```
//!
//! The first one creates the segment and waits for Enter; the second one attaches, prints what the first one wrote,
//! and leaves a message of its own. With `--again` as a second argument a text that does not fit is not grown for, but
//! the segment is left, destroyed and created again, larger, as one does where a segment cannot grow.

use std::env;
use std::io::{self, BufRead};

use sharehold::{DestroyMode, LockError, Result, Segment, SegmentData, SegmentGuard};

const KEY: &str = "com.example.message";
const SIZE: usize = 1024;
/// How far it may grow: address space, not memory.
const MAX_SIZE: usize = 1 << 20;
/// The text's length, in the first eight bytes.
const LENGTH: usize = 0;
const TEXT: usize = 8;

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let text = arguments
        .next()
        .unwrap_or_else(|| "Hello from another process!".to_owned());
    let again = arguments
        .next()
        .is_some_and(|argument| argument == "--again");

    let mut segment = Segment::options()
        .size(SIZE)
        .max_size(MAX_SIZE)
        .open_or_create(KEY)?;

    let mut message = lock(&segment)?;
    match read(&message)? {
        None => println!("there is no message yet"),
        Some(text) => println!("found the message: {text}"),
    }

    let needed = TEXT + text.len();
    if needed > message.size() {
        println!("{needed} bytes do not fit into {}", message.size());
        if again {
            drop(message);
            segment = create_again(segment, needed)?;
            message = lock(&segment)?;
        } else {
            // Everyone who is attached has the new size at once, and nobody's address changes.
            message.grow(needed)?;
        }
        println!("now there are {}", message.size());
    }
    write(&mut message, &text)?;
    drop(message);

    println!("wrote: {text}");
    println!("press Enter to detach; until then another one can read it");
    // It does not matter how the wait ends.
    let _ = io::stdin().lock().read_line(&mut String::new());
    segment.detach()
}

/// Locks the segment; a message that a dead process may have left half written is thrown away.
fn lock(segment: &Segment) -> Result<SegmentGuard<'_>> {
    match segment.lock() {
        Ok(guard) => Ok(guard),
        Err(LockError::Abandoned(found)) => {
            println!("{found}; its message is thrown away");
            found.recover(|message| message.write_at(LENGTH, &0_u64))
        }
        Err(other) => Err(other.into()),
    }
}

fn read(message: &SegmentData<'_>) -> Result<Option<String>> {
    let length: u64 = message.read_at(LENGTH)?;
    let mut text = vec![
        0;
        usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(message.size())
    ];
    message.read(TEXT, &mut text)?;
    Ok((!text.is_empty()).then(|| String::from_utf8_lossy(&text).into_owned()))
}

fn write(message: &mut SegmentGuard<'_>, text: &str) -> Result<()> {
    message.write_at(LENGTH, &(text.len() as u64))?;
    message.write(TEXT, text.as_bytes())
}

/// The way without growing: everyone has to detach and attach again.
fn create_again(segment: Segment, size: usize) -> Result<Segment> {
    segment.detach()?;
    // Gone already if this was the last one; others who are attached keep the old one to themselves.
    let _ = Segment::destroy(KEY, DestroyMode::Immediate);
    Segment::options().size(size).max_size(MAX_SIZE).create(KEY)
}
