//! Keys: any text is one, and no two of them meet.

use std::fs;

use sharehold::{DestroyMode, ErrorKind, MAX_KEY_LEN, Policy, Segment};
use sharehold_testkit::{Suite, directory, left_in_directory};

use crate::roles::kind;

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(any_text_is_a_key)
        .test(keys_that_look_alike_are_different_segments)
        .test(no_text_and_too_much_text_are_errors)
        .test(a_file_under_another_keys_name_is_refused)
        .test(an_error_shows_the_key_that_was_asked_for)
}

fn any_text_is_a_key() {
    let longest = "é".repeat(MAX_KEY_LEN / 2);
    let long = "k".repeat(5000);
    let keys = [
        "a",
        ".",
        "..",
        "/",
        "../../etc/passwd",
        "/dev/null",
        "nul\0in the middle\0",
        "\0",
        "😀👩‍👩‍👧‍👦",
        " ",
        "\n",
        "-rf *",
        "日本語",
        "C:\\Users",
        "%s%n",
        &long,
        &longest,
    ];
    let segments: Vec<Segment> = keys
        .iter()
        .map(|key| {
            let segment = Segment::create(key, key.len()).expect("nothing has the key");
            let mut bytes = segment.lock().expect("it is free");
            bytes.write(0, key.as_bytes()).expect("there is room");
            drop(bytes);
            segment
        })
        .collect();
    assert_eq!(left_in_directory().len(), keys.len());
    for key in keys {
        let segment = Segment::attach(key).expect("it is there");
        assert_eq!(segment.key(), key);
        let mut text = vec![0; key.len()];
        let bytes = segment.lock().expect("it is free");
        bytes.read(0, &mut text).expect("there is room");
        assert_eq!(text, key.as_bytes());
        assert!(Segment::exists(key).expect("one may look"));
        assert_eq!(
            kind(Segment::create(key, 1)),
            Some(ErrorKind::AlreadyExists)
        );
        let reader = Segment::attach_read_only(key).expect("it is there");
        assert_eq!(reader.key(), key);
    }
    drop(segments);
    assert!(left_in_directory().is_empty());
}

fn keys_that_look_alike_are_different_segments() {
    let long = "x".repeat(5000);
    let longer = format!("{long}x");
    let keys = [
        "a/b",
        "a_b",
        "a\0b",
        "A_B",
        "a_b ",
        "Noël",
        "Noe\u{308}l",
        &long,
        &longer,
    ];
    let segments: Vec<Segment> = (1..)
        .zip(keys)
        .map(|(size, key)| Segment::create(key, size).expect("nothing has the key"))
        .collect();
    for (size, key) in (1..).zip(keys) {
        assert_eq!(Segment::attach(key).expect("it is there").size(), size);
    }
    drop(segments);
}

fn no_text_and_too_much_text_are_errors() {
    let too_long = "x".repeat(MAX_KEY_LEN + 1);
    for key in ["", &too_long] {
        let expected = Some(ErrorKind::InvalidKey);
        assert_eq!(kind(Segment::create(key, 1)), expected);
        assert_eq!(kind(Segment::attach(key)), expected);
        assert_eq!(kind(Segment::attach_read_only(key)), expected);
        assert_eq!(
            kind(Segment::options().size(1).open_or_create(key)),
            expected
        );
        assert_eq!(kind(Segment::exists(key)), expected);
        assert_eq!(
            kind(Segment::destroy(key, DestroyMode::Immediate)),
            expected
        );
    }
    assert!(left_in_directory().is_empty());
}

fn a_file_under_another_keys_name_is_refused() {
    let options = Segment::options().size(8).policy(Policy::Persistent);
    drop(options.create("one").expect("nothing has the key"));
    let name_of_one = left_in_directory().remove(0);
    drop(options.create("other").expect("nothing has the key"));
    let mut names = left_in_directory();
    names.retain(|name| *name != name_of_one);
    let name_of_other = names.remove(0);
    // As if both had the same digest.
    fs::rename(
        directory().join(&name_of_one),
        directory().join(&name_of_other),
    )
    .expect("one may");

    let expected = Some(ErrorKind::Damaged);
    assert_eq!(kind(Segment::attach("other")), expected);
    assert_eq!(kind(Segment::attach_read_only("other")), expected);
    assert_eq!(kind(options.open_or_create("other")), expected);
    assert_eq!(kind(options.create("other")), expected);
    assert_eq!(kind(Segment::attach("one")), Some(ErrorKind::NotFound));
    assert!(!Segment::exists("one").expect("one may look"));
    Segment::destroy("other", DestroyMode::Immediate).expect("what is damaged can be destroyed");
    assert!(left_in_directory().is_empty());
}

fn an_error_shows_the_key_that_was_asked_for() {
    let error = Segment::attach("line\nbreak").expect_err("nothing has the key");
    assert_eq!(error.key(), Some("line\nbreak"));
    assert!(error.to_string().contains("`line\\nbreak`"), "{error}");
    let long = "k".repeat(5000);
    let error = Segment::attach(&long).expect_err("nothing has the key");
    assert!(error.to_string().len() < 300, "{error}");
    assert_eq!(error.key(), Some(long.as_str()));
}
