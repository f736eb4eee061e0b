//! `count --qt`: counting in memory that Qt programs share, alone and beside them. The Qt programs
//! come from `ci/qt-peers`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::world::{World, assert_refused, said};

pub(crate) fn qt_program(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let target = target.expect("it is in the target directory");
    let program = target.join("qt-peers").join(name);
    let shown = program.display();
    assert!(program.exists(), "{shown} is missing: run ci/qt-peers");
    program
}

/// Fails if a key file is left, and with it the memory that it stands for.
fn expect_nothing_left(world: &World) {
    let left: Vec<_> = world.path().read_dir().expect("it is ours").collect();
    assert!(left.is_empty(), "left over: {left:?}");
}

fn count<const N: usize>(world: &World, arguments: [&str; N]) -> Value {
    let head = ["count", "--qt", "--json"];
    let said = said(world.sharehold(head.iter().chain(&arguments)));
    assert_eq!(said.code, 0, "{said:?}");
    let last = said.out.lines().last().expect("a result");
    serde_json::from_str(last).expect("JSON")
}

#[test]
fn rust_workers_count_exactly() {
    let world = World::new();
    let result = count(&world, ["--to", "10007"]);
    assert_eq!(
        (&result["value"], &result["workers"]),
        (&10_007.into(), &4.into())
    );
    expect_nothing_left(&world);
}

#[test]
fn rust_and_qt_workers_count_exactly_together() {
    for name in ["qt5", "qt6"] {
        let world = World::new();
        let program = qt_program(name);
        let program = program.to_str().expect("it is plain");
        let arguments = [
            "--to=20011",
            "--workers=2",
            "--workers-qt=3",
            "--qt-worker",
            program,
        ];
        let result = count(&world, arguments);
        assert_eq!(
            (&result["value"], &result["workers"]),
            (&20_011.into(), &5.into())
        );
        expect_nothing_left(&world);
    }
}

#[test]
fn an_invalid_qt_worker_is_reported() {
    let world = World::new();
    for (program, reason) in [
        ("true", "did not say how far it counted"),
        ("false", "a worker ended with"),
        ("none/such", "cannot start the program"),
    ] {
        let words = format!("count --qt --to 100 --qt-worker {program}");
        assert_refused(&world.run(&words), 1, reason);
    }
    assert_refused(
        &world.run("count --qt --to 2147483648"),
        1,
        "at most 2147483647",
    );
    for words in [
        "count --qt --chaos 5",
        "count --qt --with value",
        "count --qt-worker true",
    ] {
        assert_eq!(world.run(words).code, 2, "{words}");
    }
    expect_nothing_left(&world);
}
