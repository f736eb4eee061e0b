//! Values as words: the location of their bytes, and words that are no valid value.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use crate::memory::Words;
use crate::schema::{List, Shareable, Text};
use sharehold_derive::Shareable;

/// Words of shared memory, as bytes.
struct Piece(Vec<AtomicU64>);

impl Piece {
    fn of(bytes: &[u8]) -> Piece {
        let word = |bytes: &[u8]| {
            let mut word = [0xEE; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_ne_bytes(word).into()
        };
        Piece(bytes.chunks(8).map(word).collect())
    }

    fn words(&self) -> Words<'_> {
        Words::over(&self.0)
    }

    fn bytes(&self) -> Vec<u8> {
        let words = self.0.iter();
        let bytes = words.map(|word| word.load(Ordering::Relaxed).to_ne_bytes());
        bytes.collect::<Vec<_>>().concat()
    }
}

#[derive(Debug, PartialEq, Shareable)]
#[repr(C)]
struct Plain {
    first: u32,
    second: [u16; 3],
    third: bool,
    fourth: i8,
    name: Text<3>,
    list: List<Odd, 2>,
    reserved: [u8; 3],
    last: f32,
}

#[derive(Debug, Clone, Copy, PartialEq, Shareable)]
#[repr(C)]
struct Odd([u8; 3]);

#[derive(Debug, Clone, Copy, PartialEq, Shareable)]
#[repr(i8)]
enum State {
    Idle = -1,
    Busy = 5,
}

fn plain() -> Plain {
    Plain {
        first: 0x0102_0304,
        second: [5, 6, 7],
        third: true,
        fourth: -2,
        name: Text::try_from("ab").expect("it fits"),
        list: List::try_from_iter([Odd([1, 2, 3])]).expect("it fits"),
        reserved: [9; 3],
        last: 1.5,
    }
}

fn plain_bytes() -> Vec<u8> {
    [
        &0x0102_0304_u32.to_ne_bytes()[..],
        &[5_u16, 6, 7].map(u16::to_ne_bytes).concat(),
        &[1, 0xFE],
        &2_u64.to_ne_bytes(),
        b"ab\0",
        &1_u64.to_ne_bytes(),
        &[1, 2, 3, 0, 0, 0],
        &[9, 9, 9],
        &1.5_f32.to_ne_bytes(),
    ]
    .concat()
}

/// The bytes are the same as those of this struct in a C program, at every offset, and the bytes
/// around them stay unchanged.
#[test]
fn bytes_are_where_they_are_in_c() {
    assert_eq!(plain_bytes().len(), size_of::<Plain>());
    for at in 0..17 {
        let piece = Piece::of(&[0xEE; 80]);
        plain().store(&piece.words(), at);
        let mut expected = vec![0xEE; 80];
        expected[at..][..size_of::<Plain>()].copy_from_slice(&plain_bytes());
        assert_eq!(piece.bytes(), expected);
        assert_eq!(Plain::load(&piece.words(), at), Some(plain()));
    }
}

#[test]
fn nothing_beyond_the_piece_is_touched() {
    let piece = Piece::of(&[7; 16]);
    for at in [9, 16, 17, usize::MAX - 7, usize::MAX] {
        assert_eq!(u64::load(&piece.words(), at), None);
        1_u64.store(&piece.words(), at);
    }
    assert_eq!(piece.bytes(), [7; 16]);
    assert_eq!(Plain::load(&Words::over(&[]), 0), None);
}

/// Loads a value from these bytes, stores it again, and returns it with the resulting bytes.
fn through<T: Shareable>(bytes: &[u8]) -> Option<(T, Vec<u8>)> {
    let piece = Piece::of(bytes);
    let value = T::load(&piece.words(), 0)?;
    value.store(&piece.words(), 0);
    Some((value, piece.bytes()[..T::SIZE].to_vec()))
}

#[track_caller]
fn assert_comes_back<T: Shareable + Debug + PartialEq>(value: T, bytes: &[u8]) {
    assert_eq!(through(bytes), Some((value, bytes.to_vec())));
}

#[test]
fn values_are_in_the_order_of_the_machine() {
    assert_comes_back(0x0102_u16, &0x0102_u16.to_ne_bytes());
    assert_comes_back(-3_i64, &(-3_i64).to_ne_bytes());
    assert_comes_back(u128::MAX - 5, &(u128::MAX - 5).to_ne_bytes());
    assert_comes_back(i128::MIN, &i128::MIN.to_ne_bytes());
    assert_comes_back(-0.5_f64, &(-0.5_f64).to_ne_bytes());
    assert_comes_back([true, false, true], &[1, 0, 1]);
    assert_comes_back(State::Idle, &[0xFF]);
    assert_comes_back(
        [[1_i16, -2], [3, -4]],
        &[1_i16, -2, 3, -4].map(i16::to_ne_bytes).concat(),
    );
}

#[test]
fn bytes_that_are_no_value_are_refused() {
    assert_eq!(through::<bool>(&[2]), None);
    assert_eq!(through::<State>(&[0]), None);
    assert_eq!(through::<[State; 3]>(&[5, 4, 5]), None);
    assert_eq!(
        through::<[State; 3]>(&[5, 0xFF, 5]).map(|it| it.0),
        Some([State::Busy, State::Idle, State::Busy])
    );
    let text = |len: u64, bytes: [u8; 4]| [&len.to_ne_bytes()[..], &bytes].concat();
    assert_eq!(through::<Text<4>>(&text(5, *b"abcd")), None);
    assert_eq!(through::<Text<4>>(&text(u64::MAX, *b"abcd")), None);
    assert_eq!(through::<Text<4>>(&text(1, [0x80, 0, 0, 0])), None);
    assert_eq!(through::<List<State, 4>>(&text(3, [5, 0xFF, 0, 5])), None);
    assert_eq!(through::<List<State, 4>>(&text(5, [5; 4])), None);
}

#[test]
fn bytes_behind_the_end_mean_nothing() {
    let bytes = [&2_u64.to_ne_bytes()[..], &[5, 0xFF, 0, 0x80]].concat();
    let (list, cleared) = through::<List<State, 4>>(&bytes).expect("the two are values");
    assert_eq!(list, [State::Busy, State::Idle]);
    assert_eq!(cleared[8..], [5, 0xFF, 0, 0]);
    let bytes = [&1_u64.to_ne_bytes()[..], b"a\x80\x80\x80"].concat();
    let (text, _) = through::<Text<4>>(&bytes).expect("the one is text");
    assert_eq!(text, "a");
    assert_eq!(Text::<4>::try_from("a").as_ref(), Ok(&text));
}

proptest! {
    /// Any bytes are rejected, or are a value that stays the same when it is stored.
    #[test]
    fn any_words_are_a_value_or_none(bytes in proptest::collection::vec(any::<u8>(), size_of::<Plain>())) {
        if let Some((value, again)) = through::<Plain>(&bytes) {
            let (found, twice) = through::<Plain>(&again).expect("it was just stored");
            prop_assert_eq!(twice, again);
            let same_number = found.last.to_bits() == value.last.to_bits();
            prop_assert!(same_number && (found == value || found.last.is_nan()));
        }
    }

    #[test]
    fn numbers_of_any_width_come_back(
        bytes in any::<[u8; 11]>(),
        shorts in any::<[u16; 9]>(),
        longs in any::<[i128; 2]>(),
        reals in any::<[f32; 5]>(),
        at in 0..9_usize,
    ) {
        let piece = Piece::of(&[0; 64]);
        bytes.store(&piece.words(), at);
        prop_assert_eq!(Shareable::load(&piece.words(), at), Some(bytes));
        shorts.store(&piece.words(), at);
        prop_assert_eq!(Shareable::load(&piece.words(), at), Some(shorts));
        longs.store(&piece.words(), at);
        prop_assert_eq!(Shareable::load(&piece.words(), at), Some(longs));
        reals.store(&piece.words(), at);
        prop_assert_eq!(<[f32; 5]>::load(&piece.words(), at), Some(reals));
    }
}
