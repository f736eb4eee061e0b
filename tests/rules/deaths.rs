//! Each test that the page of deaths names exists.

use crate::source::Source;
use crate::tree::{FILES, File, SOURCES};
use crate::{Finding, assert_none, lines};

const PAGE: &str = "docs/recovery.md";

/// The programs that the page names, with where their tests are. An empty folder is any one.
const PROGRAMS: &[(&str, &str)] = &[
    ("processes", "tests/processes/"),
    ("parts", "tests/parts/"),
    ("waiting", "tests/waiting/"),
    ("values", "tests/values/"),
    ("any_bytes", "tests/any_bytes/"),
    ("commands", "crates/sharehold-cli/tests/commands/"),
    ("model", "src/"),
    ("", ""),
];

/// A test as the page names it: `program module::name`. A `…` stands for the rest of a name, or for
/// the program and the module of the test before.
struct Named<'a> {
    folder: &'static str,
    module: &'a str,
    name: &'a str,
}

impl<'a> Named<'a> {
    /// Reads code of the page; `None` if it names no test.
    fn read(code: &'a str) -> Option<Named<'a>> {
        let (program, path) = match code.split_once(' ') {
            Some(split) => split,
            None if code.starts_with('…') => ("", code.strip_prefix("…::").unwrap_or(code)),
            None => return None,
        };
        let folder = PROGRAMS.iter().find(|(name, _)| *name == program)?.1;
        let (module, name) = path.rsplit_once("::").unwrap_or(("", path));
        Some(Named {
            folder,
            module,
            name,
        })
    }

    /// Whether a file has a test of this name.
    fn is_in(&self, source: &Source) -> bool {
        let path = source.path.strip_prefix(self.folder);
        let in_module =
            |path: &str| self.module.is_empty() || path.strip_suffix(".rs") == Some(self.module);
        let part = self.name.trim_matches('…');
        let fits = |name: &str| match (self.name.starts_with('…'), self.name.ends_with('…')) {
            (false, false) => name == part,
            (false, true) => name.starts_with(part),
            (true, false) => name.ends_with(part),
            (true, true) => name.contains(part),
        };
        path.is_some_and(in_module) && source.find(&["fn"]).any(|at| fits(source.text(at + 1)))
    }
}

/// Each test that the page names is a function, and each sweep a scenario.
fn named_tests_exist(page: &File, sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(page.text.lines()) {
        for code in line.split('`').skip(1).step_by(2) {
            let exists = if let Some(scenario) = code.strip_prefix("crash ") {
                let literal = match scenario.strip_suffix('…') {
                    Some(beginning) => format!("\"{beginning}"),
                    None => format!("\"{scenario}\""),
                };
                let mut sweeps = sources
                    .iter()
                    .filter(|it| it.path.starts_with("tests/crash/"));
                sweeps.any(|it| it.lines.iter().any(|line| line.contains(&literal)))
            } else if let Some(test) = Named::read(code) {
                sources.iter().any(|source| test.is_in(source))
            } else {
                continue;
            };
            if !exists {
                let message = format!("there is no test `{code}`; name the one that dies there");
                findings.push(Finding::new(&page.path, number, message));
            }
        }
    }
    findings
}

#[test]
fn the_page_of_deaths_names_tests_that_exist() {
    let page = FILES.iter().find(|file| file.path == PAGE);
    let page = page.expect("the page of deaths is there");
    assert_none(named_tests_exist(page, &SOURCES));
}

#[test]
fn a_missing_test_is_found() {
    let page = File {
        path: PAGE.into(),
        text: "\
| a | `crash lock-unlock`, `crash lock-…`, `crash lock` |
| b | `waiting events::a_set_event_wakes`, `waiting events::a_set_…`, `waiting events::…_wakes` |
| c | `waiting events::a_set`, `…::a_set_…`, `…_event_…`, `model a_set_…` |
| d | `waiting changes::a_set_…`, `--every`, `src/lock/model`, `…` |
"
        .into(),
    };
    let sources = [
        (
            "tests/crash/lock.rs",
            "fn sweep() { run(\"lock-unlock\"); }\n",
        ),
        ("tests/waiting/events.rs", "fn a_set_event_wakes() {}\n"),
    ]
    .map(|(path, text)| Source::parse(path, text));
    let found = named_tests_exist(&page, &sources);
    assert_eq!(lines(&found), [1, 3, 3, 4]);
}
