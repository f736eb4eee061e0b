//! The files of the project: those that git tracks, and new ones that it does not ignore.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use crate::source::Source;

/// The root of the tree.
pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A text file, by its path from the root.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every text file of the project.
pub(crate) static FILES: LazyLock<Vec<File>> =
    LazyLock::new(|| tracked().into_iter().filter_map(read).collect());

/// Every Rust file of the project.
pub(crate) static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let rust = FILES.iter().filter(|file| has_extension(&file.path, "rs"));
    rust.map(|file| Source::parse(&file.path, &file.text))
        .collect()
});

/// The Rust files of the library.
pub(crate) fn library() -> impl Iterator<Item = &'static Source> + Clone {
    SOURCES
        .iter()
        .filter(|source| source.path.starts_with("src/"))
}

/// The Rust files that are shipped: the library's and those of the crates beside it.
pub(crate) fn shipped() -> impl Iterator<Item = &'static Source> {
    SOURCES.iter().filter(|source| {
        let mut parts = source.path.split('/');
        match parts.next() {
            Some("src") => true,
            Some("crates") => parts.nth(1) == Some("src"),
            _ => false,
        }
    })
}

pub(crate) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|it| it == extension)
}

pub(crate) fn exists(path: &str) -> bool {
    Path::new(ROOT).join(path).exists()
}

fn tracked() -> Vec<String> {
    let output = Command::new("git")
        // A tree that another user checked out is read all the same.
        .args(["-c", "safe.directory=*", "ls-files", "-z"])
        .args(["--cached", "--others", "--exclude-standard"])
        .current_dir(ROOT)
        .output()
        .expect("git lists the files of the project");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let listed = String::from_utf8(output.stdout).expect("paths are Unicode");
    listed.split_terminator('\0').map(str::to_owned).collect()
}

/// Nothing for what is not text, and for a tracked file that was removed from the work tree.
fn read(path: String) -> Option<File> {
    match fs::read_to_string(Path::new(ROOT).join(&path)) {
        Ok(text) => Some(File { path, text }),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => None,
        Err(error) => panic!("{path}: {error}"),
    }
}

#[test]
fn the_tree_is_seen() {
    let paths: Vec<&str> = FILES.iter().map(|file| file.path.as_str()).collect();
    for path in ["Cargo.toml", "ci/all", "src/lib.rs", "tests/rules/tree.rs"] {
        assert!(paths.contains(&path), "{path} is not among {paths:?}");
    }
    assert!(library().any(|source| source.path == "src/lib.rs"));
    assert!(shipped().any(|source| source.path == "crates/sharehold-cli/src/main.rs"));
    assert!(!shipped().any(|source| source.path.starts_with("tests/")));
}
