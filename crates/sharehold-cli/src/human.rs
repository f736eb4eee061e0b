//! Sizes, times and names as people read them.

use std::time::{Duration, SystemTime};

/// Bytes in the largest unit that leaves at least one: `512 B`, `4 KiB`, `1.5 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = "B";
    let (mut whole, mut rest) = (count, 0);
    for larger in UNITS {
        if whole < 1024 {
            break;
        }
        (whole, rest, unit) = (whole / 1024, whole % 1024, larger);
    }
    match rest * 10 / 1024 {
        0 => format!("{whole} {unit}"),
        tenths => format!("{whole}.{tenths} {unit}"),
    }
}

/// A time span in its largest unit: `0s`, `59s`, `3m`, `5h`, `12d`.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

/// How long ago it was; nothing when that is not known, zero when it is still to come.
pub(crate) fn age(since: Option<SystemTime>) -> String {
    since.map_or_else(String::new, |since| {
        span(since.elapsed().unwrap_or_default())
    })
}

/// Text that others chose, with what would move a terminal's cursor made visible.
pub(crate) fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|char| {
            let plain = (!char.is_control() && !is_direction(char)).then_some(char);
            plain
                .into_iter()
                .chain(char.escape_default().filter(move |_| plain.is_none()))
        })
        .collect()
}

/// Characters that change the order in which the following ones are shown.
fn is_direction(char: char) -> bool {
    matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_down_to_a_tenth() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1 KiB");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "15.9 EiB");
    }

    #[test]
    fn spans_have_one_unit() {
        let texts = [0, 59, 60, 3599, 3600, 86400, 864_000]
            .map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(texts, ["0s", "59s", "1m", "59m", "1h", "1d", "10d"]);
    }

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(visible("Ä\u{1b}[2J\n\u{202e}b"), "Ä\\u{1b}[2J\\n\\u{202e}b");
    }
}
