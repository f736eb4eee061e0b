//! Sizes, times and names as people read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

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

/// A number in about four digits: `0`, `0.3`, `87`, `1234`, `56.7k`, `8.9M`.
pub(crate) fn count(number: f64) -> String {
    let (scaled, unit) = match number {
        0.0..1e4 => (number, ""),
        1e4..1e7 => (number / 1e3, "k"),
        1e7..1e10 => (number / 1e6, "M"),
        _ => (number / 1e9, "G"),
    };
    if scaled == 0.0 || (scaled >= 100.0 && unit.is_empty()) {
        format!("{scaled:.0}{unit}")
    } else {
        format!("{scaled:.1}{unit}")
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

/// A time span as it was given: `5s`, `0.25s`.
pub(crate) fn exact(span: Duration) -> String {
    format!("{}s", span.as_secs_f64())
}

/// How long ago it was; nothing when that is not known, zero when it is still to come.
pub(crate) fn age(since: Option<SystemTime>) -> String {
    since.map_or_else(String::new, |since| {
        span(since.elapsed().unwrap_or_default())
    })
}

/// A moment of universal time, as RFC 3339 has it: `2026-11-22T06:22:22Z`.
pub(crate) fn instant(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, rest) = (seconds / 86400, seconds % 86400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The same with milliseconds: `2026-11-22T06:22:22.042Z`.
pub(crate) fn instant_to_the_millisecond(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let whole = instant(at);
    let seconds = whole.strip_suffix('Z').unwrap_or(&whole);
    format!("{seconds}.{:03}Z", since.subsec_millis())
}

/// Year, month and day, from the days since 1970.
fn date(mut days: u64) -> (u64, usize, u64) {
    // The calendar repeats itself every 400 years.
    const CYCLE: u64 = 146_097;
    let is_leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut year = 1970 + days / CYCLE * 400;
    days %= CYCLE;
    loop {
        let length = 365 + u64::from(is_leap(year));
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}

/// Text cut to as many columns, with a sign where something is missing.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    let mut width = 0;
    let mut end = 0;
    for (at, char) in text.char_indices() {
        width += char.width().unwrap_or(0);
        if width > columns {
            return format!("{}…", &text[..end]);
        }
        if width < columns {
            end = at + char.len_utf8();
        }
    }
    text.to_owned()
}

/// Text cut in its middle to as many columns, so that both ends are seen.
pub(crate) fn middle(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let Some(room) = columns.checked_sub(1) else {
        return String::new();
    };
    let end = room / 2;
    let front = within(text.chars(), room - end);
    let back = within(text.chars().rev(), end);
    front
        .into_iter()
        .chain(['…'])
        .chain(back.into_iter().rev())
        .collect()
}

/// The first ones that fit in as many columns.
fn within(chars: impl Iterator<Item = char>, columns: usize) -> Vec<char> {
    let mut left = columns;
    let fits = |it: &char| match left.checked_sub(it.width().unwrap_or(0)) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    chars.take_while(fits).collect()
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
    fn moments_are_dates() {
        let at = |seconds| instant(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_795_328_542), "2026-11-22T06:22:22Z");
        let later = UNIX_EPOCH + Duration::from_millis(951_782_399_042);
        assert_eq!(
            instant_to_the_millisecond(later),
            "2000-02-28T23:59:59.042Z"
        );
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
        assert_eq!(at(13_574_563_200), "2400-02-29T00:00:00Z");
    }

    #[test]
    fn cut_text_has_room_for_its_sign() {
        assert_eq!(cut("abcd", 4), "abcd");
        assert_eq!(cut("abcde", 4), "abc…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("日本語", 6), "日本語");
    }

    #[test]
    fn text_without_its_middle_has_both_ends() {
        assert_eq!(middle("abcdef", 6), "abcdef");
        assert_eq!(middle("abcdefg", 6), "abc…fg");
        assert_eq!(middle("abcdefg", 1), "…");
        assert_eq!(middle("abcdefg", 0), "");
        assert_eq!(middle("日本語日本語", 6), "日…語");
    }

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(visible("Ä\u{1b}[2J\n\u{202e}b"), "Ä\\u{1b}[2J\\n\\u{202e}b");
    }
}
