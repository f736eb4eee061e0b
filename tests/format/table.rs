//! What stands in slots, and in the certificates of recoveries.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use super::{SLOT, Value, assert_block, bytes, nanoseconds, number, table, u64_at};

/// The record that a process must have written, except for what only it can know.
pub(crate) fn record_of(pid: u32, generation: u64, found: &[u8]) -> Vec<(&'static str, Value)> {
    let inode = |of: &str| {
        fs::metadata(format!("/proc/self/ns/{of}"))
            .expect("Linux has them")
            .ino()
    };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let (_, rest) = stat.rsplit_once(')').expect("the name is in parentheses");
    let start_time: u64 = rest
        .split_whitespace()
        .nth(19)
        .expect("it is there")
        .parse()
        .expect("a number");
    let program = std::env::current_exe().expect("the program knows where it is");
    let mut name = program
        .file_name()
        .expect("it is a file")
        .as_encoded_bytes()
        .to_vec();
    name.resize(16, 0);
    let at = |name: &str| {
        let row = table("Record", &[])
            .into_iter()
            .find(|row| row.name == name);
        let row = row.expect("the document has it");
        found[row.offset..row.offset + row.size].to_vec()
    };
    let since = u64::from_le_bytes(at("since").try_into().expect("eight bytes"));
    assert_in_this_test(since);
    assert!(
        at("program").iter().any(|&byte| byte != 0),
        "where a program begins is known"
    );
    vec![
        ("generation", number(generation)),
        ("pid", number(pid)),
        ("program", bytes(&at("program"))),
        ("namespaces", number(inode("pid") << 32 | inode("time"))),
        ("start_time", number(start_time)),
        ("since", number(since)),
        ("name", bytes(&name)),
    ]
}

/// The attachment table: this process holds the lock, one has died, and the last one is its slot's
/// second.
pub(crate) fn assert_slots(table: &[u8], culprits_record: &[u8], waiter: u32) {
    let no_record = bytes(&[0; 56]);
    let slots: Vec<&[u8]> = table.chunks(SLOT).collect();
    let own = record_of(std::process::id(), 1, &slots[0][16..72]);
    assert_block("Record", &[], &slots[0][16..72], &own);
    let first = [
        ("generation", number(1)),
        ("holding_thread", number(std::process::id())),
        ("even_record", bytes(&slots[0][16..72])),
        ("odd_record", no_record),
        // It waited for the dead one, and does so no more.
        ("waits", bytes(&slots[0][128..192])),
    ];
    let (words, never) = slots[0][128..192].split_at(32);
    assert_eq!((&words[0..4], &words[16..24]), (&[0; 4][..], &[0; 8][..]));
    assert_eq!(never, [0; 32]);
    assert_block("Slot", &[], slots[0], &first);
    let dead = [
        ("generation", number(1)),
        ("holding_thread", bytes(&slots[1][8..12])),
        ("even_record", bytes(culprits_record)),
        ("odd_record", bytes(&[0; 56])),
        ("waits", bytes(&[0; 64])),
    ];
    assert_block("Slot", &[], slots[1], &dead);
    let twice = [
        ("generation", number(3)),
        ("holding_thread", number(0)),
        ("even_record", bytes(&slots[2][16..72])),
        ("odd_record", bytes(&slots[2][72..128])),
        ("waits", bytes(&slots[2][128..192])),
    ];
    assert_block("Slot", &[], slots[2], &twice);
    let (wait, none) = slots[2][128..192].split_at(32);
    assert_eq!(none, [0; 32]);
    let began = u64_at(wait, 8);
    assert_in_this_test(began);
    assert!(
        u64_at(wait, 24) & 0xffff_ffff < 300_000,
        "it met nobody else"
    );
    let waits_for_this = [
        ("lock", number(1)),
        ("thread", number(waiter)),
        ("began", number(began)),
        ("holder", number(1 << 12)),
        ("met", bytes(&wait[24..28])),
        ("holding_thread", number(std::process::id())),
    ];
    assert_block("Wait", &[], wait, &waits_for_this);
    let second = record_of(waiter, 3, &slots[2][72..128]);
    assert_block("Record", &[], &slots[2][72..128], &second);
    assert_eq!(
        slots[2][16..24],
        1_u64.to_le_bytes(),
        "the record of the first is kept"
    );
}

/// The certificates: there is one, of the culprit's hold, which this process took over.
pub(crate) fn assert_recoveries(all: &[u8], took: Duration, culprits_record: &[u8]) {
    let (recovery, none) = all.split_at(112);
    assert!(none.iter().all(|&byte| byte == 0), "there was one");
    let at = u64_at(recovery, 8);
    assert_in_this_test(at);
    let of_culprit = [
        ("number", number(1)),
        ("at", number(at)),
        ("took", number(took.as_nanos())),
        ("hold", number((1 << 12) + 1)),
        ("by", number(1 << 12)),
        ("lock", number(1)),
        ("record", bytes(culprits_record)),
    ];
    assert_block("Recovery", &[], recovery, &of_culprit);
}

#[track_caller]
fn assert_in_this_test(time: u64) {
    let now = nanoseconds(SystemTime::now());
    assert!(
        time < now && now - time < 300_000_000_000,
        "it was in this test"
    );
}
