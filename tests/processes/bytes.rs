//! Bytes: every read and write at every offset does what it would do to a slice, or nothing and an
//! error.

use std::io::{self, Read, Write};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sharehold::{Error, ErrorKind, Mutex, Segment};
use sharehold_testkit::Suite;

use crate::roles::{KEY, kind};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(every_short_write_at_every_alignment_changes_its_bytes_and_no_others)
        .test(any_sequence_of_accesses_does_what_it_does_to_a_slice)
        .test(what_reaches_beyond_the_end_is_refused_and_changes_nothing)
        .test(errors_of_readers_and_writers_are_passed_on)
        .test(values_are_read_and_written_at_any_offset)
        .test(parts_are_no_bytes)
}

const SIZE: usize = 10_000;

fn parts_are_no_bytes() {
    let options = Segment::options().log(1000);
    let part: Mutex<u64> = options.create_part(KEY, 7).expect("nothing has the key");
    let expected = Some(ErrorKind::TypeMismatch);
    let attached = Segment::attach(KEY).expect("it may be looked at");
    for segment in [part.segment(), &attached] {
        let mut bytes = segment.lock().expect("it is free");
        assert!(bytes.size() >= 128);
        assert_eq!(kind(bytes.read(0, &mut [0])), expected);
        assert_eq!(kind(bytes.read_at::<u64>(0)), expected);
        assert_eq!(kind(bytes.write(128, &[1; 100])), expected);
        assert_eq!(kind(bytes.write_at(8, &1_u32)), expected);
        assert_eq!(kind(bytes.fill(0..128, 1)), expected);
        assert_eq!(kind(bytes.copy_to(0..128, io::sink())), expected);
        assert_eq!(kind(bytes.copy_from(0..128, io::repeat(1))), expected);
        let changed: sharehold::Result<()> = bytes.transaction(|tx| tx.write_at(0, &1_u64));
        assert_eq!(kind(changed), expected);
        assert_eq!(kind(bytes.read(SIZE, &mut [0])), expected);
    }
    assert_eq!(part.get().expect("nobody touched it"), 7);
}

fn run<S: Strategy>(
    cases: u32,
    strategy: &S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    if let Err(error) = TestRunner::new(config).run(strategy, test) {
        panic!("{error}");
    }
}

fn every_short_write_at_every_alignment_changes_its_bytes_and_no_others() {
    let segment = Segment::create(KEY, 96).expect("nothing has the key");
    let mut bytes = segment.lock().expect("it is free");
    let new: Vec<u8> = (1..=64).collect();
    for offset in 0..16 {
        for len in 0..=64 {
            let mut expected = vec![0xaa; 96];
            bytes.fill(0..96, 0xaa).expect("there is room");
            expected[offset..offset + len].copy_from_slice(&new[..len]);
            bytes.write(offset, &new[..len]).expect("there is room");
            let mut all = [0; 96];
            bytes.read(0, &mut all).expect("so large it is");
            assert_eq!(all[..], expected, "{len} bytes at {offset}");
            let mut part = vec![0; len];
            bytes.read(offset, &mut part).expect("so large it is");
            assert_eq!(part, new[..len], "{len} bytes at {offset}");
        }
    }
}

/// Something done to bytes.
#[derive(Debug, Clone)]
enum Access {
    Read(usize, usize),
    Write(usize, Vec<u8>),
    Fill(usize, usize, u8),
    CopyTo(usize, usize),
    CopyFrom(usize, usize, Vec<u8>),
}

fn access() -> impl Strategy<Value = Access> {
    let offset = || {
        prop_oneof![
            8 => 0..SIZE,
            1 => SIZE - 8..SIZE + 8,
            1 => usize::MAX - 8..=usize::MAX,
        ]
    };
    let len = || prop_oneof![4 => 0..40_usize, 1 => 0..SIZE];
    let data = || {
        prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 0..40),
            1 => prop::collection::vec(any::<u8>(), 0..SIZE),
        ]
    };
    prop_oneof![
        (offset(), len()).prop_map(|(offset, len)| Access::Read(offset, len)),
        (offset(), data()).prop_map(|(offset, data)| Access::Write(offset, data)),
        (offset(), offset(), any::<u8>())
            .prop_map(|(start, end, byte)| Access::Fill(start, end, byte)),
        (offset(), offset()).prop_map(|(start, end)| Access::CopyTo(start, end)),
        (offset(), offset(), data())
            .prop_map(|(start, end, data)| Access::CopyFrom(start, end, data)),
    ]
}

/// A reader that gives little at a time.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = into.len().min(1000);
        self.0.read(&mut into[..len])
    }
}

/// Does it to the segment and to the model, which must agree.
fn agree(
    bytes: &mut sharehold::SegmentGuard<'_>,
    model: &mut [u8],
    access: Access,
) -> Result<(), TestCaseError> {
    let outside = |result: Result<(), Error>| {
        prop_assert_eq!(kind(result), Some(ErrorKind::OutOfBounds));
        Ok(())
    };
    match access {
        Access::Read(offset, len) => {
            let mut into = vec![1; len];
            let result = bytes.read(offset, &mut into);
            let end = offset.checked_add(len);
            if let Some(expected) = end.and_then(|end| model.get(offset..end)) {
                prop_assert!(result.is_ok());
                prop_assert_eq!(&into[..], expected);
            } else {
                prop_assert!(into.iter().all(|&byte| byte == 1));
                outside(result)?;
            }
        }
        Access::Write(offset, data) => {
            let result = bytes.write(offset, &data);
            match offset
                .checked_add(data.len())
                .and_then(|end| model.get_mut(offset..end))
            {
                Some(place) => {
                    prop_assert!(result.is_ok());
                    place.copy_from_slice(&data);
                }
                None => outside(result)?,
            }
        }
        Access::Fill(start, end, byte) => {
            let result = bytes.fill(start..end, byte);
            match model.get_mut(start..end.max(start)) {
                Some(place) => {
                    prop_assert!(result.is_ok());
                    place.fill(byte);
                }
                None => outside(result)?,
            }
        }
        Access::CopyTo(start, end) => {
            let mut into = Vec::new();
            let result = bytes.copy_to(start..end, &mut into);
            match model.get(start..end.max(start)) {
                Some(expected) => {
                    prop_assert!(result.is_ok());
                    prop_assert_eq!(&into[..], expected);
                }
                None => outside(result)?,
            }
        }
        Access::CopyFrom(start, end, data) => {
            let result = bytes.copy_from(start..end, Dribble(&data));
            match model.get_mut(start..end.max(start)) {
                Some(place) => {
                    let len = place.len().min(data.len());
                    prop_assert_eq!(result.ok(), Some(len));
                    place[..len].copy_from_slice(&data[..len]);
                }
                None => outside(result.map(drop))?,
            }
        }
    }
    Ok(())
}

fn any_sequence_of_accesses_does_what_it_does_to_a_slice() {
    run(300, &prop::collection::vec(access(), 1..40), |accesses| {
        let segment = Segment::create(KEY, SIZE).expect("nothing has the key");
        let mut model = vec![0; SIZE];
        let mut bytes = segment.lock().expect("it is free");
        for access in accesses {
            agree(&mut bytes, &mut model, access)?;
        }
        let mut all = vec![1; SIZE];
        bytes.read(0, &mut all).expect("so large it is");
        prop_assert!(all == model);
        Ok(())
    });
}

fn what_reaches_beyond_the_end_is_refused_and_changes_nothing() {
    // The page that the data end in has room, which is nobody's.
    let segment = Segment::create(KEY, 10).expect("nothing has the key");
    let mut bytes = segment.lock().expect("it is free");
    let outside = Some(ErrorKind::OutOfBounds);
    for (offset, len) in [
        (0, 11),
        (10, 1),
        (11, 0),
        (usize::MAX, 1),
        (usize::MAX - 3, 8),
    ] {
        assert_eq!(
            kind(bytes.write(offset, &vec![1; len])),
            outside,
            "{len} at {offset}"
        );
        assert_eq!(
            kind(bytes.read(offset, &mut vec![0; len])),
            outside,
            "{len} at {offset}"
        );
    }
    assert_eq!(kind(bytes.fill(5..11, 1)), outside);
    assert_eq!(kind(bytes.copy_from(5..11, io::empty())), outside);
    assert_eq!(kind(bytes.read_at::<u64>(3)), outside);
    assert_eq!(kind(bytes.write_at(3, &1_u64)), outside);
    bytes.write(10, &[]).expect("there is nothing to write");
    let mut all = [1; 10];
    bytes.read(0, &mut all).expect("so large it is");
    assert_eq!(all, [0; 10]);
    let error = bytes.read(4, &mut [0; 8]).expect_err("it is too much");
    assert!(
        error
            .to_string()
            .contains("8 bytes at offset 4 reach beyond its 10 bytes"),
        "{error}"
    );
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("unreadable"))
    }
}

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("unwritable"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn errors_of_readers_and_writers_are_passed_on() {
    let segment = Segment::create(KEY, 10).expect("nothing has the key");
    let mut bytes = segment.lock().expect("it is free");
    let error = bytes
        .copy_from(0..10, Broken)
        .expect_err("it cannot be read");
    assert_eq!(error.kind(), ErrorKind::System);
    assert!(error.to_string().contains("unreadable"), "{error}");
    let error = bytes
        .copy_to(0..10, Broken)
        .expect_err("it cannot be written");
    assert!(error.to_string().contains("unwritable"), "{error}");
    // Neither is asked for nothing.
    assert_eq!(
        bytes
            .copy_from(10..10, Broken)
            .expect("there is nothing to read"),
        0
    );
    bytes
        .copy_to(3..3, Broken)
        .expect("there is nothing to write");
}

fn values_are_read_and_written_at_any_offset() {
    let segment = Segment::create(KEY, 64).expect("nothing has the key");
    let mut bytes = segment.lock().expect("it is free");
    for offset in 0..16 {
        let value = [0x0123_4567_89ab_cdef_u64, u64::MAX, offset as u64];
        bytes.write_at(offset, &value).expect("there is room");
        assert_eq!(
            bytes.read_at::<[u64; 3]>(offset).expect("there is room"),
            value
        );
        bytes
            .write_at(offset + 1, &(-2_i16))
            .expect("there is room");
        assert_eq!(bytes.read_at::<i16>(offset + 1).expect("there is room"), -2);
        assert_eq!(bytes.read_at::<u8>(offset).expect("there is room"), 0xef);
    }
}
