//! No file of the library names another one that leads back to it.

use std::collections::BTreeMap;

use crate::layers::{module_of, paths};
use crate::source::Source;
use crate::tree::library;
use crate::{Finding, assert_none};

/// The modules that each module names, with the token of the first such path. A module and the ones
/// inside of it are one unit: `mod.rs` documents and re-exports what its folder contains.
type Graph<'a> = BTreeMap<Vec<String>, BTreeMap<Vec<String>, (&'a Source, usize)>>;

fn graph<'a>(sources: impl Iterator<Item = &'a Source> + Clone) -> Graph<'a> {
    let sources = sources.filter(|source| !source.path.contains("/model"));
    let modules: Vec<_> = sources.clone().map(|it| module_of(&it.path)).collect();
    let mut graph = Graph::new();
    for source in sources {
        let own = module_of(&source.path);
        let tests = source.test_code();
        let named = graph.entry(own.clone()).or_default();
        for path in paths(source, &own) {
            let within = |module: &&Vec<String>| path.absolute.starts_with(module);
            let longest = modules.iter().filter(within).max_by_key(|it| it.len());
            let Some(to) = longest.filter(|to| !to.is_empty()) else {
                continue;
            };
            let is_relative = to.starts_with(&own) || own.starts_with(to);
            if !is_relative && !tests.contains(&path.start) {
                named.entry(to.clone()).or_insert((source, path.start));
            }
        }
    }
    graph
}

/// One finding for each path that leads back to the file in which it stands.
fn cycles(graph: &Graph<'_>) -> Vec<Finding> {
    let leads_to = |from: &Vec<String>, wanted: &Vec<String>| {
        let mut seen = vec![from];
        let mut next = 0;
        while let Some(&module) = seen.get(next) {
            next += 1;
            for to in graph.get(module).into_iter().flat_map(BTreeMap::keys) {
                if to == wanted {
                    return true;
                }
                if !seen.contains(&to) {
                    seen.push(to);
                }
            }
        }
        false
    };
    let mut findings = Vec::new();
    for (from, named) in graph {
        for (to, &(source, token)) in named {
            if leads_to(to, from) {
                let message = format!(
                    "`{}` leads back to this file; move what both need to a file of its own",
                    to.join("::")
                );
                findings.push(source.finding(token, message));
            }
        }
    }
    findings
}

#[test]
fn no_file_names_another_that_leads_back() {
    assert_none(cycles(&graph(library())));
}

#[test]
fn a_cycle_of_three_files_is_found() {
    let sources = [
        ("src/a/mod.rs", "mod one;\nmod two;\nuse one::One;\n"),
        ("src/a/one.rs", "use super::two::Two;\nuse super::Both;\n"),
        ("src/a/two.rs", "fn two() { crate::b::three(); }\n"),
        (
            "src/b.rs",
            "use crate::c;\n#[cfg(test)]\nmod tests { use crate::c::C; }\nuse crate::a::one::{self, One};\n",
        ),
        (
            "src/c.rs",
            "fn c() {}\n#[cfg(test)]\nmod tests { use crate::b; }\n",
        ),
    ];
    let sources = sources.map(|(path, text)| Source::parse(path, text));
    let found = cycles(&graph(sources.iter()));
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    for (found, place) in found
        .iter()
        .zip(["src/a/one.rs:1", "src/a/two.rs:1", "src/b.rs:4"])
    {
        assert!(found.starts_with(place), "{found}");
    }
}
