//! Bytes as people read them: offsets, hexadecimal digits, and the characters that they are.

use std::fmt::Write as _;

/// Bytes on a line.
pub(crate) const LINE: usize = 16;

/// The lines of bytes that begin at `offset`. Of lines that repeat the one before, a `*` stands for
/// all.
pub(crate) fn of(bytes: &[u8], offset: usize) -> String {
    let mut text = String::new();
    let mut before: &[u8] = &[];
    let mut repeats = false;
    let lines = (offset..).step_by(LINE).zip(bytes.chunks(LINE));
    for (at, line) in lines {
        let last = at + line.len() == offset + bytes.len();
        if line == before && !last {
            if !repeats {
                text += "*\n";
            }
            repeats = true;
            continue;
        }
        repeats = false;
        before = line;
        // Writing to a string does not fail.
        let _ = write!(text, "{at:08x} ");
        for index in 0..LINE {
            text += if index.is_multiple_of(8) { " " } else { "" };
            match line.get(index) {
                Some(byte) => drop(write!(text, "{byte:02x} ")),
                None => text += "   ",
            }
        }
        let shown = line.iter().map(|&byte| match byte {
            b' '..=b'~' => char::from(byte),
            _ => '.',
        });
        let _ = writeln!(text, " |{}|", shown.collect::<String>());
    }
    text
}

/// Two hexadecimal digits for each byte, and nothing else.
pub(crate) fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_hexdump() {
        let mut bytes = b"Hello, \x1b[2J".to_vec();
        bytes.resize(67, 0);
        assert_eq!(
            of(&bytes, 4096),
            "\
00001000  48 65 6c 6c 6f 2c 20 1b  5b 32 4a 00 00 00 00 00  |Hello, .[2J.....|
00001010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|
*
00001040  00 00 00                                          |...|
"
        );
        assert_eq!(of(&[], 0), "");
        assert_eq!(digits(b"A\n\xff"), "410aff");
    }
}
