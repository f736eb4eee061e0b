//! Derived types: the text that describes them, and values that come back as they went in.

use proptest::prelude::*;
use sharehold::{ErrorKind, List, Schema, Segment, Shareable, Shared, Text};

use crate::{Cell, Everything, Level, Move, Signed, State, Unsigned};

#[test]
fn a_schema_is_these_lines() {
    let schema = Schema::of::<Everything>();
    assert_eq!(
        schema.to_text(),
        "\
size 192 version 3 type Everything
0 32 unsigned struct
0 16 unsigned.huge u128
16 8 unsigned.long u64
24 4 unsigned.middle u32
28 2 unsigned.short u16
30 2 unsigned.bytes [u8; 2]
32 32 signed struct version 2
32 16 signed.huge i128
48 8 signed.long i64
56 4 signed.middle [i32; 1]
60 2 signed.short i16
62 2 signed.bytes [i8; 2]
64 8 ratio f64
72 4 scale f32
76 1 open bool
77 1 state enum u8 {Idle=0, Busy=7, Done=8}
78 2 type [bool; 2]
80 20 name Text<12>
100 24 tags [Text<4>; 2]
124 4 reserved [u8; 4]
128 32 moves List<struct, 3>
0 4 moves[].0 i32
4 4 moves[].1 u32
160 12 grid [[struct; 2]; 2]
0 2 grid[][].color [u8; 2]
2 1 grid[][].alive bool
172 2 level enum i16 {Low=-1, High=256}
174 18 history List<enum u8 {Idle=0, Busy=7, Done=8}, 10>
"
    );
    assert_eq!(schema.size(), size_of::<Everything>());
    assert_eq!(schema.name(), "Everything");
    assert_eq!(schema.version(), 3);
    // As `sha256sum` has it.
    assert_eq!(schema.fingerprint(), 0x3cb4_d717_53f5_be65);
}

#[test]
fn values_that_are_no_structs_have_schemas_too() {
    let text = |schema: Schema| schema.to_text();
    assert_eq!(
        text(Schema::of::<u64>()),
        "size 8 version 1 type u64\n0 8 . u64\n"
    );
    assert_eq!(
        text(Schema::of::<State>()),
        "size 1 version 1 type State\n0 1 . enum u8 {Idle=0, Busy=7, Done=8}\n"
    );
    assert_eq!(
        text(Schema::of::<[List<Move, 2>; 3]>()),
        "\
size 72 version 1 type [List<Move, 2>; 3]
0 72 . [List<struct, 2>; 3]
0 4 [][].0 i32
4 4 [][].1 u32
"
    );
}

#[test]
fn the_name_plays_no_part_in_the_hash() {
    mod other {
        #[derive(sharehold::Shareable)]
        #[repr(C)]
        pub(super) struct Renamed(i32, u32);
    }
    let (here, there) = (Schema::of::<Move>(), Schema::of::<other::Renamed>());
    assert_ne!(here, there);
    assert_eq!(here.fingerprint(), there.fingerprint());
    assert_eq!(here.first_difference(&there), None);
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![Just(State::Idle), Just(State::Busy), Just(State::Done)]
}

fn text<const N: usize>() -> impl Strategy<Value = Text<N>> {
    any::<String>().prop_map(|long| {
        let mut text = Text::new();
        for c in long.chars() {
            if text.push_str(c.encode_utf8(&mut [0; 4])).is_err() {
                break;
            }
        }
        text
    })
}

fn list<T: Shareable + std::fmt::Debug, const N: usize>(
    element: impl Strategy<Value = T>,
) -> impl Strategy<Value = List<T, N>> {
    proptest::collection::vec(element, 0..=N).prop_map(|values| {
        List::try_from_iter(values).unwrap_or_else(|_| panic!("there are at most {N}"))
    })
}

fn cell() -> impl Strategy<Value = Cell> {
    any::<([u8; 2], bool)>().prop_map(|(color, alive)| Cell { color, alive })
}

fn unsigned() -> impl Strategy<Value = Unsigned> {
    any::<(u128, u64, u32, u16, [u8; 2])>().prop_map(|(huge, long, middle, short, bytes)| {
        Unsigned {
            huge,
            long,
            middle,
            short,
            bytes,
        }
    })
}

fn signed() -> impl Strategy<Value = Signed> {
    any::<(i128, i64, [i32; 1], i16, [i8; 2])>().prop_map(|(huge, long, middle, short, bytes)| {
        Signed {
            huge,
            long,
            middle,
            short,
            bytes,
        }
    })
}

fn everything() -> impl Strategy<Value = Everything> {
    let numbers = (
        unsigned(),
        signed(),
        any::<(f64, f32, bool, [bool; 2], [u8; 4])>(),
    );
    let texts = (text(), [text(), text()]);
    let lists = (
        list(any::<(i32, u32)>().prop_map(|(amount, at)| Move(amount, at))),
        list(state()),
    );
    let others = (state(), [[cell(), cell()], [cell(), cell()]], any::<bool>());
    (numbers, texts, lists, others).prop_map(|(numbers, texts, lists, others)| {
        let (unsigned, signed, (ratio, scale, open, r#type, reserved)) = numbers;
        let (state, grid, is_high) = others;
        Everything {
            unsigned,
            signed,
            ratio,
            scale,
            open,
            state,
            r#type,
            name: texts.0,
            tags: texts.1,
            reserved,
            moves: lists.0,
            grid,
            level: if is_high { Level::High } else { Level::Low },
            history: lists.1,
        }
    })
}

proptest! {
    /// What went in comes out, through the memory of a segment.
    #[test]
    fn values_come_back(first in everything(), second in everything()) {
        let key = "com.example.schema.everything";
        let shared = Shared::create(key, &first).expect("the key is free");
        prop_assert_eq!(shared.get().expect("a value"), first);
        shared.set(&second).expect("nobody else is there");
        prop_assert_eq!(shared.get().expect("a value"), second);
    }
}

type Four<T> = [[[[T; 1]; 1]; 1]; 1];
type Sixteen<T> = Four<Four<Four<Four<T>>>>;

/// A segment with an unreadable schema would be of no use.
#[test]
fn a_type_that_is_nested_too_deeply_is_refused() {
    type Deepest = Sixteen<Four<Four<Four<[[[u8; 1]; 1]; 1]>>>>;
    type TooDeep = Sixteen<Sixteen<u8>>;
    const KEY: &str = "com.example.deep";
    let deepest = Shared::create(KEY, &*Deepest::blank()).expect("it has 32 levels");
    Shared::<Deepest>::attach(KEY).expect("it is there");
    drop(deepest);
    for made in [
        Shared::create(KEY, &*TooDeep::blank()),
        Shared::open_or_create(KEY, || *TooDeep::blank()),
    ] {
        let error = made.expect_err("it has 33 levels");
        assert_eq!(error.kind(), ErrorKind::InvalidOption, "{error}");
        assert!(error.to_string().contains("at most 32 levels"), "{error}");
    }
    assert!(!Segment::exists(KEY).expect("it can be looked for"));
}
