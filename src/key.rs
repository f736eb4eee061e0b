//! Keys: the names of segments, and their file names.

use std::ffi::OsString;

use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};

/// The longest key, in bytes of UTF-8.
pub const MAX_KEY_LEN: usize = 64 * 1024;

/// How many characters of the key the file name shows.
const SHOWN: usize = 60;

/// A validated key: any non-empty Unicode text of at most [`MAX_KEY_LEN`] bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn new(text: &str) -> Result<Key> {
        let refuse =
            |detail| Err(Error::new(ErrorKind::InvalidKey, "use the key", detail).with_key(text));
        match text.len() {
            0 => refuse("it is empty; give the segment a name such as com.example.tally"),
            1..=MAX_KEY_LEN => Ok(Key(text.to_owned())),
            _ => refuse("it is longer than 64 KiB; use a digest of it as the key"),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the file name: a readable part, a dot, and the SHA-256 of the whole key.
    ///
    /// Two keys have the same file name only if their digests collide. Then the key that is stored
    /// in the segment distinguishes them.
    pub(crate) fn file_name(&self) -> OsString {
        let readable = |c: char| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        };
        let mut name: String = self.0.chars().take(SHOWN).map(readable).collect();
        if name.starts_with('.') {
            name.replace_range(..1, "_");
        }
        name.push('.');
        for byte in Sha256::digest(self.0.as_bytes()) {
            for digit in [byte >> 4, byte & 15] {
                name.extend(char::from_digit(digit.into(), 16));
            }
        }
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_but_the_empty_one_is_a_key() {
        for text in [
            "a",
            "..",
            ".",
            "/",
            "a/b/../c",
            "nul\0inside",
            "😀",
            " ",
            "日本語",
            "-rf",
        ] {
            let name = Key::new(text)
                .expect("a key")
                .file_name()
                .into_string()
                .expect("ASCII");
            assert!(
                name.len() <= 255 && name.is_ascii() && !name.contains(['/', '\0']),
                "{name}"
            );
            assert!(!name.starts_with('.'), "{name} is hidden");
        }
        assert_eq!(Key::new("").unwrap_err().kind(), ErrorKind::InvalidKey);
        assert!(Key::new(&"x".repeat(MAX_KEY_LEN)).is_ok());
        assert_eq!(
            Key::new(&"x".repeat(MAX_KEY_LEN + 1)).unwrap_err().kind(),
            ErrorKind::InvalidKey
        );
    }

    #[test]
    fn keys_that_look_alike_have_different_files() {
        let long = "x".repeat(5_000);
        let name = |text: &str| Key::new(text).expect("a key").file_name();
        assert_ne!(name(&long), name(&format!("{long}x")));
        assert_ne!(name("a/b"), name("a_b"));
        assert_ne!(name("Noël"), name("Noe\u{308}l"));
    }

    #[test]
    fn the_name_is_the_documented_one() {
        let name = Key::new("com.example/tally").expect("a key").file_name();
        // printf com.example/tally | sha256sum
        let digest = "215fe82f863e9c8050081c30609b53d45353c0243663e6138ea95b7fe1717c07";
        assert_eq!(
            name.to_string_lossy(),
            format!("com.example_tally.{digest}")
        );
    }
}
