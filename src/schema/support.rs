//! What the code that `#[derive(Shareable)]` generates stands on.

pub use super::in_place::fill_field;
pub use super::{Description, Shareable};
pub use crate::memory::{Reader, Words, Writer};

/// Stops the compilation when there are `gap` bytes of padding before `field`.
#[track_caller]
pub const fn no_padding_before(field: &str, gap: usize) {
    if gap > 0 {
        Message::new()
            .text("field `")
            .text(field)
            .text("` leaves ")
            .bytes(gap)
            .text(" of padding before it: reorder the fields, or put `reserved: [u8; ")
            .number(gap)
            .text("]` before it")
            .panic();
    }
}

/// Stops the compilation when there are `gap` bytes of padding behind `field`, the last one.
#[track_caller]
pub const fn no_padding_behind(field: &str, gap: usize) {
    if gap > 0 {
        Message::new()
            .text("field `")
            .text(field)
            .text("` leaves ")
            .bytes(gap)
            .text(" of padding behind it: reorder the fields, or put `reserved: [u8; ")
            .number(gap)
            .text("]` at the end")
            .panic();
    }
}

/// Stops the compilation when the type has a `Drop` of its own; the fields' types are checked themselves.
#[track_caller]
pub const fn no_drop<T>(name: &str, fields_drop: bool) {
    if std::mem::needs_drop::<T>() && !fields_drop {
        Message::new()
            .text("`")
            .text(name)
            .text("` has a `Drop`, which every process that reads it would run: put it on a type of your own around it")
            .panic();
    }
}

/// Stops the compilation with this text when something does not hold.
#[track_caller]
pub(super) const fn require(holds: bool, text: &str) {
    if !holds {
        Message::new().text(text).panic();
    }
}

/// A text that is put together while compiling.
struct Message {
    bytes: [u8; 512],
    len: usize,
}

impl Message {
    const fn new() -> Message {
        Message {
            bytes: [0; 512],
            len: 0,
        }
    }

    const fn text(mut self, text: &str) -> Message {
        let bytes = text.as_bytes();
        let mut index = 0;
        while index < bytes.len() && self.len < self.bytes.len() {
            self.bytes[self.len] = bytes[index];
            self.len += 1;
            index += 1;
        }
        self
    }

    const fn number(self, number: usize) -> Message {
        const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        let message = if number >= 10 {
            self.number(number / 10)
        } else {
            self
        };
        message.text(DIGITS[number % 10])
    }

    const fn bytes(self, count: usize) -> Message {
        self.number(count)
            .text(if count == 1 { " byte" } else { " bytes" })
    }

    #[track_caller]
    const fn panic(&self) {
        let (used, _) = self.bytes.split_at(self.len);
        match str::from_utf8(used) {
            // INVARIANT: only the compiler runs this, and stopping it with the message is the purpose.
            Ok(text) => panic!("{}", text),
            // INVARIANT: as above, for a field name so long that it was cut inside of a character.
            Err(_) => panic!("there is padding"),
        }
    }
}
