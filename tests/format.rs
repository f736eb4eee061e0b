//! The shared bytes are what `docs/format.md` says: every row of its tables is found in a real
//! segment's file.
//!
//! The file is read as bytes, without the library. A row of the document that is not checked here
//! fails the test, and so does a check that has no row, so that neither can be changed alone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sharehold::{
    DestroyMode, ErrorKind, LockError, Policy, Schema, Segment, SegmentOptions, Shared,
};
use sharehold_testkit::raw::lock_byte;
use sharehold_testkit::{Child, Suite, Talk, directory, left_in_directory, wait_until_asleep};

#[path = "format/parts.rs"]
mod parts;
#[path = "format/table.rs"]
mod table;

fn main() -> ExitCode {
    let suite = Suite::new()
        .test(the_tables_leave_no_byte_out)
        .test(the_files_name_is_made_of_the_key)
        .test(every_field_is_where_the_document_says)
        .test(a_typed_value_is_where_the_document_says)
        .test(parts::parts_are_where_the_document_says)
        .test(blocks_follow_each_other_for_any_sizes)
        .test(attachments_lock_the_bytes_of_the_document)
        .test(attachers_pass_the_gate_together_and_keep_removers_out)
        .test(a_remover_goes_first_and_keeps_attachers_out)
        .test(another_version_is_refused_by_name)
        .role(attacher);
    sharehold_testkit::main([suite])
}

const DOCUMENT: &str = include_str!("../docs/format.md");
const KEY: &str = "com.example/tally";
/// The bytes of a header, and of a slot.
const HEADER: usize = 2048;
const SLOT: usize = 192;

/// A row of a table: bytes at an offset, and what they are called.
struct Row {
    offset: usize,
    size: usize,
    name: &'static str,
}

/// The cells of the rows of the table under a heading, those of its head left out.
fn cells(heading: &str) -> Vec<Vec<&'static str>> {
    let section = DOCUMENT
        .split("\n## ")
        .find(|it| it.lines().next() == Some(heading));
    let section = section.unwrap_or_else(|| panic!("the document has no section `{heading}`"));
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let rows: Vec<Vec<&str>> = lines
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert!(rows.len() > 2, "`{heading}` has a table");
    rows
}

/// The table under a heading, in which words stand for these numbers.
fn table(heading: &str, words: &[(&str, usize)]) -> Vec<Row> {
    let number = |cell: &str| {
        let word = words
            .iter()
            .find(|(word, _)| cell.trim_matches('`') == *word);
        word.map_or_else(|| cell.parse().expect("a number"), |&(_, number)| number)
    };
    let rows = cells(heading).into_iter();
    rows.map(|row| Row {
        offset: number(row[0]),
        size: number(row[1]),
        name: row[2].trim_matches('`'),
    })
    .collect()
}

/// Compares the bytes of a block with what each row must have; a number is compared in as many
/// bytes as the row has.
#[track_caller]
fn assert_block(heading: &str, words: &[(&str, usize)], block: &[u8], expected: &[(&str, Value)]) {
    let mut expected: BTreeMap<&str, &Value> = expected
        .iter()
        .map(|(name, value)| (*name, value))
        .collect();
    for Row { offset, size, name } in table(heading, words) {
        let found = &block[offset..offset + size];
        if name == "reserved" {
            assert!(
                found.iter().all(|&byte| byte == 0),
                "{heading}: what is reserved at {offset}"
            );
            continue;
        }
        let value = expected.remove(name);
        match value.unwrap_or_else(|| panic!("{heading}: `{name}` is checked by nothing")) {
            Value::Number(number) => {
                let mut bytes = [0; 8];
                bytes[..size].copy_from_slice(found);
                assert_eq!(u64::from_le_bytes(bytes), *number, "{heading}: `{name}`");
            }
            Value::Bytes(bytes) => assert_eq!(found, bytes, "{heading}: `{name}`"),
        }
    }
    assert!(
        expected.is_empty(),
        "{heading}: the document does not have {:?}",
        expected.keys()
    );
}

enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

fn u64_at(block: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(block[at..at + 8].try_into().expect("eight bytes"))
}

fn number(value: impl TryInto<u64>) -> Value {
    Value::Number(value.try_into().unwrap_or_else(|_| panic!("it fits")))
}

fn bytes(value: &[u8]) -> Value {
    Value::Bytes(value.to_vec())
}

fn the_tables_leave_no_byte_out() {
    let words = [("length", 8), ("value_size", 64), ("odd_at", 128)];
    for (heading, mut end, len) in [
        ("Header", 0, HEADER),
        ("Slot", 0, SLOT),
        ("Wait", 0, 32),
        ("Recovery", 0, 112),
        ("Record", 0, 56),
        ("Undo record", 0, 24),
        ("Read-write lock", 128, 256),
        ("Semaphore", 128, 256),
        ("Event", 0, 128),
        ("Barrier", 128, 256),
    ] {
        for row in table(heading, &words) {
            assert_eq!(row.offset, end, "{heading}: where `{}` begins", row.name);
            end += row.size;
        }
        assert_eq!(end, len, "{heading}: its length");
    }
}

fn file_of(key: &str) -> Vec<u8> {
    assert_eq!(left_in_directory().len(), 1, "there is one segment, {key}");
    fs::read(directory().join(&left_in_directory()[0])).expect("it is there")
}

fn the_files_name_is_made_of_the_key() {
    // printf '...' | sha256sum
    let names = [
        (
            KEY,
            "com.example_tally.215fe82f863e9c8050081c30609b53d45353c0243663e6138ea95b7fe1717c07",
        ),
        (
            "..",
            "_..5ec1f7e700f37c3d0b2981d04855fc34b94aaa15457b05ca571817442d228f81",
        ),
    ];
    for (key, name) in names {
        let segment = Segment::create(key, 1).expect("nothing has the key");
        assert_eq!(left_in_directory(), [name]);
        drop(segment);
    }
    let long = "é".repeat(100);
    let segment = Segment::create(&long, 1).expect("nothing has the key");
    let name = &left_in_directory()[0];
    assert!(
        name.starts_with(&format!("{}.", "_".repeat(60))) && name.len() == 60 + 1 + 64,
        "{name}"
    );
    drop(segment);
}

/// Attaches, and takes the lock when told.
fn attacher(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    test.say("attached");
    while test.hear() == "lock" {
        let guard = segment.lock();
        test.say("locked");
        std::mem::forget(guard);
    }
}

fn attached() -> Child {
    let mut child = Child::of(attacher);
    child.hears("attached");
    child
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).expect("it is later");
    since.as_nanos().try_into().expect("it is not that late")
}

fn options() -> SegmentOptions {
    Segment::options()
        .slots(3)
        .log(88)
        .policy(Policy::Persistent)
        .max_size(100_000)
}

fn every_field_is_where_the_document_says() {
    let before = nanoseconds(SystemTime::now());
    let segment = options()
        .size(100)
        .create(KEY)
        .expect("nothing has the key");
    segment.grow(5000).expect("there is memory");
    // Slot 1 will be a dead one's, slot 2 one that was taken twice.
    let mut previous_owner = attached();
    attached().ends_well();
    let mut waiter = attached();
    let culprits_record = file_of(KEY)[HEADER + SLOT + 16..HEADER + SLOT + 72].to_vec();
    let expected_of_culprit = table::record_of(previous_owner.pid(), 1, &culprits_record);
    assert_block("Record", &[], &culprits_record, &expected_of_culprit);
    previous_owner.tell("lock");
    previous_owner.hears("locked");
    // Killed while somebody sleeps for the lock, so that the take-over takes time.
    let mut guard = std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_until_asleep(std::process::id());
            previous_owner.kill();
        });
        match segment.lock() {
            Err(LockError::Abandoned(found)) => found.into_guard(),
            other => panic!("the dead one held it, not {other:?}"),
        }
    });
    waiter.tell("lock");
    waiter.waits_for_memory();
    guard
        .write(4000, b"what was there before")
        .expect("there is room");
    let changed: sharehold::Result<_> = guard.transaction(|tx| {
        tx.write(4000, b"WHAT")?;
        tx.write(4009, b"THERE now")?;
        Ok(file_of(KEY))
    });
    let file = changed.expect("the log has room");
    let listed = sharehold::list().expect("one may look").remove(0);
    let listed = listed.summary.expect("it is whole");
    assert_eq!(listed.recoveries.count, 1);
    assert!(!listed.recoveries.longest.is_zero());
    let created_at = nanoseconds(listed.created_at.expect("it is known"));
    assert!(created_at >= before && created_at <= nanoseconds(SystemTime::now()));

    let log_at = (HEADER + 3 * SLOT + KEY.len()).next_multiple_of(8);
    let data_at = (log_at + 88).next_multiple_of(4096);
    assert_eq!(file.len(), (data_at + 5000).next_multiple_of(4096));
    let header = [
        ("magic", bytes(b"sharehld")),
        ("version", number(5)),
        ("policy", number(1)),
        ("slots", number(3)),
        ("key_len", number(KEY.len())),
        ("data_offset", number(data_at)),
        ("max_size", number(100_000)),
        ("created_at", number(created_at)),
        ("schema_len", number(0)),
        ("log_len", number(88)),
        ("size", number(5000)),
        ("departures", number(1)),
        ("next_slot", number(4)),
        ("recoveries", number(1)),
        (
            "longest_recovery",
            number(listed.recoveries.longest.as_nanos()),
        ),
        // Two records: 16 and 4 bytes, padded to 8; 16 and 9 bytes, padded to 16.
        ("logged", number(16 + 8 + 16 + 16)),
        ("replacing", number(0)),
        ("owner", number(1 << 12)),
        ("waiting", number(1)),
        ("fenced", number(0)),
        ("condition", number(1)),
        ("watched", number(1)),
        ("previous_owner_id", number((1 << 12) + 1)),
        ("previous_owner", bytes(&culprits_record)),
        ("checkers", bytes(&[0; 32])),
        ("last_recoveries", bytes(&file[256..HEADER])),
    ];
    assert_block("Header", &[], &file[..HEADER], &header);
    let longest = listed.recoveries.longest;
    table::assert_recoveries(&file[256..HEADER], longest, &culprits_record);
    assert_eq!(&file[HEADER + 3 * SLOT..][..KEY.len()], KEY.as_bytes());
    table::assert_slots(
        &file[HEADER..HEADER + 3 * SLOT],
        &culprits_record,
        waiter.pid(),
    );

    assert_log(&file[log_at..log_at + 88]);
    assert_eq!(&file[data_at + 4000..][..20], b"WHAT was THERE nowor");

    drop(guard);
    waiter.hears("locked");
    waiter.ends_well();
    drop(segment);
    Segment::destroy(KEY, DestroyMode::WhenUnused).expect("nobody is left");
}

/// The log: two records.
fn assert_log(log: &[u8]) {
    let undo = [
        ("offset", number(4000)),
        ("length", number(4)),
        ("bytes", bytes(b"what")),
    ];
    assert_block("Undo record", &[("length", 4)], log, &undo);
    let undo = [
        ("offset", number(4009)),
        ("length", number(9)),
        ("bytes", bytes(b"there bef")),
    ];
    assert_block("Undo record", &[("length", 9)], &log[24..], &undo);
}

fn a_typed_value_is_where_the_document_says() {
    let values = [[1_u32, 2, 3, 4], [5, 6, 7, 8]];
    let shared = options()
        .create_shared(KEY, &values[0])
        .expect("nothing has the key");
    shared.set(&values[1]).expect("it is free");
    let file = file_of(KEY);
    let schema = Schema::of::<[u32; 4]>().to_text();
    let schema_at = HEADER + 3 * SLOT + KEY.len();
    assert_eq!(
        &file[schema_at..schema_at + schema.len()],
        schema.as_bytes()
    );
    let row = table("Header", &[])
        .into_iter()
        .find(|row| row.name == "schema_len");
    let offset = row.expect("the document has it").offset;
    assert_eq!(
        file[offset..offset + 8],
        (schema.len() as u64).to_le_bytes()
    );
    let data_at = ((schema_at + schema.len()).next_multiple_of(8) + 88).next_multiple_of(4096);
    let value = |value: [u32; 4]| bytes(&value.map(u32::to_le_bytes).concat());
    let words = [("value_size", 16), ("odd_at", 128)];
    let typed = [
        ("version", number(2)),
        ("writing", number(2)),
        ("even_copy", value(values[1])),
        ("odd_copy", value(values[0])),
    ];
    assert_block("Typed data", &words, &file[data_at..], &typed);
    drop(shared);
    Segment::destroy(KEY, DestroyMode::WhenUnused).expect("nobody is left");
}

fn blocks_follow_each_other_for_any_sizes() {
    for (slots, key_len, log, size) in [
        (1, 1, 0, 1),
        (3, 17, 8, 4096),
        (128, 5000, 1000, 4097),
        (4000, 65_536, 0, 1),
    ] {
        let key = "k".repeat(key_len);
        let options = Segment::options().slots(slots).log(log).size(size);
        let segment = options.create(&key).expect("nothing has the key");
        segment
            .lock()
            .expect("it is free")
            .fill(0..size, 0xda)
            .expect("so large it is");
        let file = file_of(&key);
        let key_at = HEADER + SLOT * slots;
        let log_at = (key_at + key_len).next_multiple_of(8);
        let data_at = (log_at + log).next_multiple_of(4096);
        assert_eq!(file.len(), (data_at + size).next_multiple_of(4096));
        assert_eq!(&file[key_at..key_at + key_len], key.as_bytes());
        assert!(
            file[key_at + key_len..data_at]
                .iter()
                .all(|&byte| byte == 0)
        );
        assert!(
            file[data_at..data_at + size]
                .iter()
                .all(|&byte| byte == 0xda)
        );
        assert!(file[data_at + size..].iter().all(|&byte| byte == 0));
        assert_eq!(file[24..32], (data_at as u64).to_le_bytes());
    }
}

/// The first byte and the number of bytes of a row in the table of byte locks.
fn lock_bytes(name: &str) -> (u64, u64) {
    let mut rows = cells("Byte locks").into_iter();
    let row = rows
        .find(|row| row[2].trim_matches('`') == name)
        .expect("the document has it");
    let offset = row[0].trim_start_matches("*S*").trim_start_matches(" + ");
    let offset: u64 = if offset.is_empty() {
        0
    } else {
        offset.parse().expect("a number")
    };
    ((1 << 40) + offset, row[1].parse().expect("a number"))
}

/// The locks that this process has on the only file, one file description after another: the first
/// and the last byte, and whether it is alone.
fn locks() -> Vec<(u64, u64, bool)> {
    let path = directory().join(&left_in_directory()[0]);
    let inode = fs::metadata(path).expect("it is there").ino().to_string();
    let mut locks = Vec::new();
    for entry in fs::read_dir("/proc/self/fdinfo").expect("/proc is mounted") {
        let path = entry.expect("/proc is mounted").path();
        // The descriptor by which the directory is read is closed by the time.
        let info = fs::read_to_string(path).unwrap_or_default();
        let mut words = info.split_whitespace().skip_while(|word| *word != "ino:");
        if words.nth(1) != Some(&inode) {
            continue;
        }
        for line in info.lines().filter(|line| line.starts_with("lock:")) {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(words[2], "OFDLCK", "{line}");
            let byte = |index: usize| words[index].parse().expect("a byte's number");
            locks.push((byte(7), byte(8), words[4] == "WRITE"));
        }
    }
    locks.sort_unstable();
    locks
}

fn attachments_lock_the_bytes_of_the_document() {
    let options = Segment::options().size(1).slots(4000);
    let segments: Vec<Segment> = (0..5)
        .map(|_| options.open_or_create(KEY).expect("there is room"))
        .collect();
    let reader = Segment::attach_read_only(KEY).expect("it is there");
    let (slots, count) = lock_bytes("slots");
    assert_eq!(count, 4000);
    let (readers, pids) = lock_bytes("readers");
    assert_eq!(pids, 1 << 22);
    let mut expected: Vec<_> = (0..5)
        .map(|slot| (slots + slot, slots + slot, true))
        .collect();
    let own = readers + u64::from(std::process::id());
    expected.push((own, own, false));
    assert_eq!(locks(), expected);
    drop(segments);
    assert_eq!(locks(), [(own, own, false)]);
    drop(reader);
}

/// Makes a persistent segment, and returns its file, opened without the library.
fn gated() -> File {
    let options = Segment::options().size(1).policy(Policy::Persistent);
    drop(options.create(KEY).expect("nothing has the key"));
    let path = directory().join(&left_in_directory()[0]);
    File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("it is there")
}

fn attachers_pass_the_gate_together_and_keep_removers_out() {
    let attacher = gated();
    assert!(lock_byte(&attacher, lock_bytes("gate").0, false));
    drop(Segment::attach(KEY).expect("attachers pass together"));
    drop(Segment::attach_read_only(KEY).expect("attachers pass together"));
    let busy = Segment::destroy(KEY, DestroyMode::Immediate).map_err(|error| error.kind());
    assert_eq!(busy, Err(ErrorKind::Busy), "a remover passes alone");
    drop(attacher);
    Segment::destroy(KEY, DestroyMode::Immediate).expect("it is there");
}

fn a_remover_goes_first_and_keeps_attachers_out() {
    let remover = gated();
    assert!(lock_byte(&remover, lock_bytes("wish").0, false));
    let start = Instant::now();
    drop(Segment::attach(KEY).expect("a wish shuts nobody out for good"));
    assert!(
        start.elapsed() >= Duration::from_millis(100),
        "an attacher lets a remover go first"
    );
    assert!(lock_byte(&remover, lock_bytes("gate").0, true));
    let busy = Segment::attach(KEY).map_err(|error| error.kind());
    assert_eq!(busy.err(), Some(ErrorKind::Busy), "a remover passes alone");
    drop(remover);
    Segment::destroy(KEY, DestroyMode::Immediate).expect("it is there");
}

fn another_version_is_refused_by_name() {
    let options = Segment::options().size(1).policy(Policy::Persistent);
    drop(options.create(KEY).expect("nothing has the key"));
    let path = directory().join(&left_in_directory()[0]);
    let mut file = fs::read(&path).expect("it is there");
    file[8] = 6;
    fs::write(&path, file).expect("one may");
    let error = Segment::attach(KEY).expect_err("it is another version");
    assert_eq!(error.kind(), ErrorKind::WrongVersion);
    assert!(
        error
            .to_string()
            .contains("format version 6, this is version 5"),
        "{error}"
    );
    let shared = Shared::<u64>::attach(KEY).map_err(|error| error.kind());
    assert_eq!(shared.err(), Some(ErrorKind::WrongVersion));
    Segment::destroy(KEY, DestroyMode::Immediate).expect("it can be destroyed");
}
