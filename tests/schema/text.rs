//! `Text<N>` does as a `String` does, up to its capacity.

use std::fmt::Write as _;

use proptest::prelude::*;
use sharehold::Text;

#[test]
fn it_takes_no_more_room_than_it_says() {
    assert_eq!(size_of::<Text<0>>(), 8);
    assert_eq!(size_of::<Text<5>>(), 13);
    assert_eq!(align_of::<Text<5>>(), 1);
}

#[test]
fn text_that_does_not_fit_comes_back() {
    let mut text = Text::<4>::new();
    text.push_str("äb").expect("three bytes");
    let refused = text.push_str("cd").expect_err("two more");
    assert_eq!(
        (refused.text.as_str(), refused.free, refused.capacity),
        ("cd", 1, 4)
    );
    assert_eq!(text, "äb");
    assert!(Text::<3>::try_from("abcd").is_err());
    assert!(write!(text, "{}", 12).is_err());
    assert!(write!(text, "{}", 1).is_ok());
    assert_eq!(text.to_string(), "äb1");
}

#[test]
fn it_is_cut_between_characters() {
    let mut text = Text::<8>::try_from("aäb").expect("four bytes");
    text.truncate(9);
    assert_eq!(text, "aäb");
    assert_eq!(text.pop(), Some('b'));
    text.truncate(2);
    assert_eq!(text, "a");
    text.clear();
    assert_eq!(text.pop(), None);
    assert_eq!(format!("{text:?}{text}"), "\"\"");
}

proptest! {
    #[test]
    fn it_does_as_a_string_does(steps in proptest::collection::vec((0..4_u8, any::<String>()), 0..20)) {
        let mut text = Text::<16>::new();
        let mut string = String::new();
        for (step, more) in steps {
            match step {
                0 => prop_assert_eq!(text.pop(), string.pop()),
                1 => {
                    let len = string.floor_char_boundary(more.len());
                    string.truncate(len);
                    text.truncate(len);
                }
                _ => if string.len() + more.len() <= 16 {
                    string.push_str(&more);
                    prop_assert!(text.push_str(&more).is_ok());
                } else {
                    prop_assert!(text.push_str(&more).is_err());
                }
            }
            prop_assert_eq!(text.as_str(), &string);
            prop_assert_eq!(Text::<16>::try_from(string.as_str()).ok(), Some(text));
        }
    }
}
