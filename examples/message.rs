//! Leaves a message for the next process, in bytes that grow with the message.
//!
//! Run it in two terminals:
//!
//! ```text
//! $ cargo run --example message
//! there is no message yet
//! wrote: Hello from another process!
//! press Enter to detach
//!
//! $ cargo run --example message -- "A longer message"
//! found the message: Hello from another process!
//! wrote: A longer message
//! press Enter to detach
//! ```
//!
//! Kill one of the two with `kill -9`. The message stays as long as the other one is attached. It
//! is gone when the last process has left, however that process ended.
//!
//! A message that does not fit makes the segment grow, for all attached processes at once.

use std::{env, io};

use sharehold::{Result, Segment, SegmentData};

const KEY: &str = "com.example.message";
const SIZE: usize = 64;
/// The size to which the segment can grow. It costs address space, not memory.
const MAX_SIZE: usize = 1 << 20;
/// The offset of the length of the text, a `u64`.
const LENGTH: usize = 0;
const TEXT: usize = 8;

fn main() -> Result<()> {
    let text = env::args().nth(1);
    let text = text.as_deref().unwrap_or("Hello from another process!");
    let options = Segment::options().size(SIZE).max_size(MAX_SIZE);
    let segment = options.open_or_create(KEY)?;

    // Throws away a message that a process left half written when it died.
    let mut message = segment.lock_or_recover(|message| message.write_at(LENGTH, &0_u64))?;
    match read(&message)?.as_str() {
        "" => println!("there is no message yet"),
        found => println!("found the message: {found}"),
    }
    let needed = TEXT + text.len();
    if needed > message.size() {
        message.grow(needed)?;
        println!("the segment has {} bytes now", message.size());
    }
    message.write_at(LENGTH, &(text.len() as u64))?;
    message.write(TEXT, text.as_bytes())?;
    drop(message);

    println!("wrote: {text}");
    println!("press Enter to detach");
    let _ = io::stdin().read_line(&mut String::new());
    segment.detach()
}

fn read(message: &SegmentData<'_>) -> Result<String> {
    let length: u64 = message.read_at(LENGTH)?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let mut text = vec![0; length.min(message.size())];
    message.read(TEXT, &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
