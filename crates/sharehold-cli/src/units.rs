//! Sizes, times and modes as people write them.

use std::num::NonZeroU64;
use std::time::Duration;

/// The ways to write a size, for messages and help.
pub(crate) const SIZES: &str =
    "a number of bytes, or with KiB, MiB, GiB or TiB (or K, M, G, T), such as 4096, 4KiB or 1.5MiB";
/// The ways to write a time.
pub(crate) const TIMES: &str =
    "a number of seconds, or with ms, s, m or h, such as 5, 0.5, 500ms or 2m";

/// Bytes: `4096`, `4KiB`, `4K`, `1.5MiB`.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let units = [
        ("KiB", 10),
        ("MiB", 20),
        ("GiB", 30),
        ("TiB", 40),
        ("K", 10),
        ("M", 20),
        ("G", 30),
        ("T", 40),
        ("B", 0),
        ("", 0),
    ];
    let (number, shift) = split(text, &units);
    let refused = || format!("`{text}` is no size: give {SIZES}");
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let unit = 1_usize << shift;
    let whole: usize = whole.parse().map_err(|_| refused())?;
    let mut bytes = whole.checked_mul(unit);
    if !part.is_empty() {
        // The fraction of a unit, as a whole number of bytes.
        let digits: usize = part.parse().map_err(|_| refused())?;
        let places = u32::try_from(part.len()).ok();
        let scale = places.and_then(|places| 10_usize.checked_pow(places));
        let more = scale.and_then(|scale| Some(digits.checked_mul(unit)? / scale));
        bytes = bytes
            .zip(more)
            .and_then(|(whole, more)| whole.checked_add(more));
    }
    bytes.ok_or_else(|| format!("`{text}` is more than there can be"))
}

/// How far to count: a whole number, at least 1.
pub(crate) fn total(text: &str) -> Result<NonZeroU64, String> {
    let number = text.parse();
    number.map_err(|_| format!("`{text}` is no whole number from 1 to {}", u64::MAX))
}

/// Time: `5` and `5s`, `0.5`, `500ms`, `2m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let units = [
        ("ms", 0.001),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
        ("", 1.0),
    ];
    let (number, unit) = split(text, &units);
    let refused = || format!("`{text}` is no time: give {TIMES}");
    let plain = number.chars().all(|it| it.is_ascii_digit() || it == '.');
    let number: f64 = number.parse().ok().filter(|_| plain).ok_or_else(refused)?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| refused())
}

/// Permission bits as `chmod` takes them, in octal: `0660`, `640`.
pub(crate) fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok();
    mode.filter(|mode| *mode <= 0o777)
        .ok_or_else(|| format!("`{text}` is no mode in octal such as 0600 or 0660"))
}

/// The number before the first of these units that the text ends with, and what that unit stands
/// for.
fn split<'a, U: Copy + Default>(text: &'a str, units: &[(&str, U)]) -> (&'a str, U) {
    let found = units.iter().find_map(|&(unit, meaning)| {
        let number = text.strip_suffix(unit)?;
        Some((number.trim_end(), meaning))
    });
    found.unwrap_or((text, U::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("4096B", 4096),
            ("4KiB", 4096),
            ("4 KiB", 4096),
            ("4K", 4096),
            ("1.5MiB", 3 << 19),
            ("2G", 2 << 30),
            ("0.5K", 512),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "K",
            "-1",
            "4 kib",
            "4KB",
            "1.5.2K",
            "1e3",
            "4x",
            "1.K5",
            ".5K",
            "99999999999999999999",
            "99999999T",
            "0.99999999999999999999K",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_have_units() {
        for (text, ms) in [
            ("0", 0),
            ("5", 5000),
            ("5s", 5000),
            ("0.25", 250),
            ("500ms", 500),
            ("2m", 120_000),
            ("1.5h", 5_400_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "s",
            "-1",
            "5 d",
            "1e3",
            "inf",
            "NaN",
            "99999999999999999999h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(mode("0660"), Ok(0o660));
        assert_eq!(mode("600"), Ok(0o600));
        for text in ["", "rw", "0999", "1000", "-1"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }
}
