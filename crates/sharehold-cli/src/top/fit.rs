//! What of a line has room on a narrow terminal: whole words, the most important ones.

use unicode_width::UnicodeWidthStr;

use crate::format;

/// A part of a line, and how many others are more important.
pub(super) type Part<'a> = (&'a str, usize);

/// The most important parts that fit beside each other, in their order.
pub(super) fn parts(all: &[Part<'_>], between: &str, room: usize) -> String {
    let mut last = all.len();
    loop {
        let chosen = all.iter().filter(|(_, rank)| *rank < last);
        let chosen: Vec<&str> = chosen.map(|(text, _)| *text).collect();
        let line = chosen.join(between);
        if line.width() <= room || last == 0 {
            return line;
        }
        last -= 1;
    }
}

/// A text that is not ours, behind words that are, cut where it has no room.
pub(super) fn named(words: &str, text: &str, room: usize) -> String {
    let left = room.saturating_sub(words.width() + 2);
    if left == 0 {
        return format::cut(text, room);
    }
    format!("{words}  {}", format::cut(text, left))
}

/// A text in lines of whole words that fit; a word that is longer has a line of its own.
pub(super) fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The end of a text that is being typed, where it has no room.
pub(super) fn end(text: &str, room: usize) -> &str {
    let starts = text.char_indices().map(|(at, _)| at);
    let mut ends = starts.map(|at| &text[at..]);
    ends.find(|end| end.width() <= room).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_important_parts_stay() {
        let all = [("move", 2), ("help", 1), ("quit", 0)];
        for (room, line) in [
            (16, "move  help  quit"),
            (15, "help  quit"),
            (10, "help  quit"),
            (9, "quit"),
            (4, "quit"),
            (3, ""),
        ] {
            assert_eq!(parts(&all, "  ", room), line, "{room}");
        }
    }

    #[test]
    fn texts_are_cut_where_it_shows() {
        assert_eq!(named("top", "key", 8), "top  key");
        assert_eq!(named("top", "longer", 8), "top  lo…");
        assert_eq!(named("top", "longer", 4), "lon…");
        assert_eq!(end("filter", 6), "filter");
        assert_eq!(end("filter", 3), "ter");
    }
}
