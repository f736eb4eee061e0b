//! `List<T, N>` does as a `Vec` does, up to its capacity.

use proptest::prelude::*;
use sharehold::{List, Text};

use crate::State;

#[test]
fn it_takes_no_more_room_than_it_says() {
    assert_eq!(size_of::<List<u8, 3>>(), 11);
    assert_eq!(align_of::<List<u8, 3>>(), 1);
    assert_eq!(size_of::<List<u64, 3>>(), 32);
    assert_eq!(align_of::<List<u32, 3>>(), 4);
    assert_eq!(size_of::<List<Text<4>, 2>>(), 32);
}

#[test]
fn what_does_not_fit_comes_back() {
    let mut list = List::<u8, 2>::new();
    let more = list.try_extend(1..9).expect_err("more than two").value;
    assert_eq!((list.as_slice(), more), (&[1, 2][..], 3));
    assert!(list.is_full());
    assert_eq!(list.insert(0, 9).expect_err("it is full").value, 9);
    assert_eq!(list.pop(), Some(2));
    assert_eq!(list.insert(0, 9), Ok(()));
    assert_eq!(list, [9, 1]);
    list.clear();
    assert_eq!(list.insert(7, 5), Ok(()), "beyond the end is the end");
    assert_eq!(list, [5]);
    assert_eq!(List::from([1, 2]), [1, 2]);
}

/// A place without element holds some value of the type, also where 0 is none.
#[test]
fn any_type_can_be_listed() {
    let mut list = List::<State, 3>::default();
    assert!(list.is_empty());
    list.push(State::Done).expect("room");
    assert_eq!(list.pop(), Some(State::Done));
    assert_eq!(list.pop(), None);
    assert_eq!(format!("{list:?}"), "[]");
}

proptest! {
    #[test]
    fn it_does_as_a_vec_does(steps in proptest::collection::vec((0..8_u8, 0..8_usize, any::<u16>()), 0..40)) {
        let mut list = List::<u16, 5>::new();
        let mut vec = Vec::new();
        for (step, index, value) in steps {
            let there = index < vec.len();
            match step {
                0 => prop_assert_eq!(list.pop(), vec.pop()),
                1 => prop_assert_eq!(list.remove(index), there.then(|| vec.remove(index))),
                2 => prop_assert_eq!(list.swap_remove(index), there.then(|| vec.swap_remove(index))),
                3 => {
                    vec.truncate(index);
                    list.truncate(index);
                }
                4 => {
                    vec.retain(|it| it % 3 > 0);
                    list.retain(|it| it % 3 > 0);
                }
                5 if index <= vec.len() && vec.len() < 5 => {
                    vec.insert(index, value);
                    prop_assert_eq!(list.insert(index, value), Ok(()));
                }
                _ if vec.len() < 5 => {
                    vec.push(value);
                    prop_assert_eq!(list.push(value), Ok(()));
                }
                _ => prop_assert_eq!(list.push(value).map_err(|full| full.value), Err(value)),
            }
            prop_assert_eq!(list.as_slice(), vec.as_slice());
            prop_assert_eq!(list.iter().count(), list.len());
        }
    }
}
