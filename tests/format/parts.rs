//! The parts of a segment, and what each attachment marks in them.

use sharehold::{
    Barrier, BarrierOptions, DeathPolicy, Event, Mutex, OnceLock, Part, ResetMode, RwLock, Segment,
    Semaphore,
};

use super::{HEADER, KEY, SLOT, Value, assert_block, bytes, cells, file_of, number, u64_at};

type Words = [u64; 3];

#[derive(Part)]
struct All {
    mutex: Mutex<Words>,
    rwlock: RwLock<Words>,
    once: OnceLock<Words>,
    permits: Semaphore,
    event: Event,
    barrier: Barrier,
}

const SCHEMA: &str = "\
size 1920 version 1 type All
0 384 mutex Mutex<[u64; 3]>
384 512 rwlock RwLock<[u64; 3]>
896 384 once OnceLock<[u64; 3]>
1280 256 permits Semaphore
1536 128 event Event
1664 256 barrier Barrier
";

fn typed(version: u64, even: Words, odd: Words) -> [(&'static str, Value); 4] {
    let words = |words: Words| bytes(&words.map(u64::to_le_bytes).concat());
    [
        ("version", number(version)),
        ("writing", number(version)),
        ("even_copy", words(even)),
        ("odd_copy", words(odd)),
    ]
}

pub(crate) fn parts_are_where_the_document_says() {
    sizes_are_as_described();
    let first = AllInit {
        mutex: [1; 3],
        rwlock: [2; 3],
        once: (),
        permits: 5,
        event: ResetMode::Auto,
        barrier: BarrierOptions {
            participants: 3,
            death_policy: DeathPolicy::RemoveParticipant,
        },
    };
    let all: All = Segment::options()
        .slots(2)
        .create_part(KEY, first)
        .expect("nothing has the key");
    *all.mutex.lock().expect("it is free") = [7; 3];
    drop(all.rwlock.write().expect("it is free"));
    let reader = all.rwlock.read().expect("it is free");
    all.permits
        .acquire_many(2)
        .expect("there are five")
        .forget();
    drop(all.permits.acquire().expect("there are five"));
    all.event.set().expect("it is no fork");
    let soon = std::time::Duration::from_millis(1);
    assert!(all.barrier.wait_timeout(soon).is_err(), "nobody comes");
    let guard = all.mutex.lock().expect("it is free");
    assert_eq!(all.once.get().expect("it is no fork"), None);

    let file = file_of(KEY);
    let schema_at = HEADER + 2 * SLOT + KEY.len();
    let (schema, data_at) = (SCHEMA, 4096);
    let found = &file[schema_at..schema_at + schema.len()];
    assert_eq!(String::from_utf8_lossy(found), schema);
    assert_eq!(file.len(), 2 * 4096);
    let data = &file[data_at..];
    let part = |at: usize| &data[at..];
    let sizes = [("value_size", 24), ("odd_at", 128)];
    let value = |at: usize, expected: &[(&str, Value)]| {
        assert_block("Typed data", &sizes, part(at), expected);
    };

    // Slot 0 of generation 1, atomically.
    assert_eq!(u64_at(part(0), 0), 1 << 63 | 1 << 12, "the mutex's owner");
    value(128, &typed(2, [7; 3], [1; 3]));
    assert_eq!(u64_at(part(384), 0), 0, "no writer is inside");
    let words = [
        ("phase", number(1)),
        ("turn", number(0)),
        ("readers_wait", number(0)),
        ("draining", number(0)),
        ("asked", number(0)),
        ("tasks", number(0)),
    ];
    assert_block("Read-write lock", &[], part(384), &words);
    value(384 + 256, &typed(1, [0; 3], [2; 3]));
    value(896 + 128, &typed(0, [0; 3], [0; 3]));
    let words = [
        ("permits", number(5)),
        ("available", number(3)),
        ("change", number(1)),
        ("waiting", number(0)),
        ("checkers", bytes(&[0; 32])),
        ("asked", number(0)),
    ];
    assert_block("Semaphore", &[], part(1280), &words);
    assert_block(
        "Event",
        &[],
        part(1536),
        &[("state", number(1)), ("auto", number(1))],
    );
    let words = [
        ("participants", number(3)),
        ("leaves_out", number(1)),
        ("round", number(0)),
        ("left_out", number(0)),
        ("broken", number(0)),
        ("checkers", bytes(&[0; 32])),
        ("asked", number(u64_at(part(1664), 192) & 0xffff_ffff)),
    ];
    assert_block("Barrier", &[], part(1664), &words);

    assert_marks(part(1920));
    drop((guard, reader));
}

/// The marks of this process, one part's behind another's.
fn assert_marks(row: &[u8]) {
    let thread = u64::from(
        rustix::thread::gettid()
            .as_raw_nonzero()
            .get()
            .unsigned_abs(),
    );
    let of_generation = |value: u64| 1 << 32 | value;
    let marks = [
        thread,
        of_generation(1 << 17),
        0,
        0,
        of_generation(2),
        // One thread takes part, and has given up; the round that it took part in is the first.
        of_generation(1 << 16),
        of_generation(0),
    ];
    for (index, mark) in marks.into_iter().enumerate() {
        assert_eq!(u64_at(row, 8 * index), mark, "mark {index}");
    }
    assert!(row[8 * marks.len()..256].iter().all(|&byte| byte == 0));
}

/// The sizes that the document says, with a value of 24 bytes.
fn sizes_are_as_described() {
    for (row, size) in cells("Parts").iter().zip([384, 384, 512, 256, 128, 256]) {
        let described: usize = row[1]
            .split(',')
            .next()
            .and_then(|bytes| bytes.parse().ok())
            .expect("a number");
        let value = if row[0].contains('<') { 64 + 2 * 64 } else { 0 };
        let expected = (described + value).next_multiple_of(128);
        assert_eq!(expected, size, "{}", row[0]);
    }
}
