//! Waits with epoll for a change of a value and for the keyboard at the same time.
//!
//! Run it in two terminals, and type a line in one of them:
//!
//! ```text
//! $ cargo run --example event_loop
//! the board says ""
//! buy milk
//! the board says "buy milk"
//!
//! $ cargo run --example event_loop
//! the board says "buy milk"
//! ```
//!
//! Kill one of the two with `kill -9`. The other one continues with its loop, and a new process
//! joins it. The end of the input (Ctrl+D) ends the program.
//!
//! The signal of a `PollableWatch` is a file descriptor, so it fits into any loop that waits for
//! descriptors. This program needs Linux, because epoll does.

use std::error::Error;
use std::io::{self, BufRead};
use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::retry_on_intr;
use sharehold::{Shared, Text};

const KEY: &str = "com.example.event-loop";
/// The numbers by which an event names its descriptor.
const KEYBOARD: u64 = 0;
const BOARD: u64 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let board = Shared::open_or_create(KEY, Text::<240>::new)?;
    let mut watch = board.watch_since(0).into_pollable()?;
    let mut keyboard = io::stdin().lock();
    let mut typed = Vec::new();

    let poller = epoll::create(CreateFlags::CLOEXEC)?;
    for (descriptor, name) in [
        (keyboard.as_fd(), KEYBOARD),
        (watch.signal().as_fd(), BOARD),
    ] {
        let data = EventData::new_u64(name);
        epoll::add(&poller, descriptor, data, EventFlags::IN)?;
    }

    let mut events = Vec::with_capacity(2);
    loop {
        // The first change is the present text. After `None` a further change raises the signal.
        while let Some(change) = watch.try_changed()? {
            println!("the board says {:?}", change.value.as_str());
        }
        // A signal such as the one of `fg` in a shell interrupts the wait.
        retry_on_intr(|| epoll::wait(&poller, spare_capacity(&mut events), None))?;
        for event in events.drain(..) {
            // An event of `BOARD` needs no more than the next round of the loop.
            let is_typed = event.data.u64() == KEYBOARD;
            if is_typed && !write_typed(&board, &mut keyboard, &mut typed)? {
                return Ok(());
            }
        }
    }
}

/// Writes each line that was typed on the board. Returns false at the end of the input.
///
/// An input may end within a line. Its bytes stay in `typed` until the rest of the line comes.
fn write_typed(
    board: &Shared<Text<240>>,
    keyboard: &mut impl BufRead,
    typed: &mut Vec<u8>,
) -> Result<bool, Box<dyn Error>> {
    // Takes all that the buffer has, because epoll does not see what stays in it.
    let input = keyboard.fill_buf()?;
    let length = input.len();
    typed.extend_from_slice(input);
    keyboard.consume(length);
    while let Some(end) = typed.iter().position(|&byte| byte == b'\n') {
        board.set(&str::from_utf8(&typed[..end])?.parse()?)?;
        typed.drain(..=end);
    }
    Ok(length > 0)
}
