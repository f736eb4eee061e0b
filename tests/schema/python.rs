//! What `docs/schema.md` says is so: its schema is one, and its Python reads a value.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use sharehold::{List, Schema, Shareable, Text};

#[derive(Shareable)]
#[repr(C)]
struct Account {
    id: u64,
    name: Text<24>,
    limits: Limits,
    moves: List<Move, 2>,
    codes: [u16; 4],
    state: State,
    reserved: [u8; 7],
}

#[derive(Shareable)]
#[repr(C)]
struct Limits {
    min: u64,
    max: u64,
}

#[derive(Shareable)]
#[repr(C)]
struct Move {
    amount: i64,
    at: u64,
}

#[derive(Shareable)]
#[repr(u8)]
enum State {
    Idle,
    Busy,
}

/// The block of the document in this language.
fn block(language: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema.md");
    let document = fs::read_to_string(path).expect("the document is there");
    let start = format!("```{language}\n");
    let (_, rest) = document.split_once(&start).expect("it has the block");
    let (block, _) = rest.split_once("```").expect("the block ends");
    block.to_owned()
}

#[test]
fn the_schema_is_one() {
    assert_eq!(Schema::of::<Account>().to_text(), block("text"));
}

#[test]
fn python_reads_the_numbers() {
    let schema = Schema::of::<Account>();
    let mut value = vec![0; schema.size()];
    schema.set(&mut value, "id", "7").expect("it fits");
    schema
        .set(&mut value, "limits.max", "18446744073709551615")
        .expect("it fits");
    let program = format!(
        "import sys\ntext = {:?}\nvalue = bytes({value:?})\n{}\nfor it in numbers(text, value): print(*it)\n",
        schema.to_text(),
        block("python"),
    );
    let mut python = Command::new("python3")
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python is there: see ci/setup");
    let mut input = python.stdin.take().expect("it was asked for");
    input.write_all(program.as_bytes()).expect("Python reads");
    drop(input);
    let output = python.wait_with_output().expect("Python ends");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "id 7\nlimits.min 0\nlimits.max 18446744073709551615\n"
    );
}
