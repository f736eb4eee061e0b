//! What the derive refuses, and what it says: the programs in `tests/refused`, each with what the
//! compiler prints.
//!
//! `TRYBUILD=overwrite cargo test -p sharehold-derive` writes the messages anew; read what changed
//! before you commit it.

#[test]
fn refused_with_these_messages() {
    let tests = trybuild::TestCases::new();
    tests.compile_fail("tests/refused/*.rs");
    tests.pass("tests/accepted/*.rs");
}
