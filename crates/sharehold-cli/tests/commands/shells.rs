//! `completions`, `man` and help: what shells and readers of manuals get.

use std::fs;

use crate::world::{World, said};

#[test]
fn bash_completes_words() {
    let world = World::new();
    let script = r#"
        source <(sharehold completions bash) || exit
        COMP_WORDS=(sharehold inc); COMP_CWORD=1
        _sharehold sharehold inc sharehold; echo "${COMPREPLY[@]}"
        COMP_WORDS=(sharehold lock --ti); COMP_CWORD=2
        _sharehold sharehold --ti lock; echo "${COMPREPLY[@]}"
    "#;
    let mut bash = world.command("bash");
    bash.args(["--norc", "-c", script]);
    let said = said(bash);
    assert_eq!(
        (said.out.as_str(), said.err.as_str()),
        ("incr\n--timeout\n", ""),
        "{said:?}"
    );
}

#[test]
fn every_shell_has_a_script() {
    let world = World::new();
    for (shell, sign) in [
        ("bash", "complete -F _sharehold"),
        ("zsh", "#compdef sharehold"),
        ("fish", "complete -c sharehold"),
    ] {
        let script = world.ok(&format!("completions {shell}"));
        assert!(script.contains(sign), "{shell}");
        assert!(
            !script.contains("lock-child"),
            "{shell} offers what is not for people"
        );
    }
    assert_eq!(world.run("completions tcsh").code, 2);
}

#[test]
fn manual_pages_are_rendered() {
    let world = World::new();
    let folder = world.path().join("man1");
    fs::create_dir(&folder).expect("there is room");
    world.ok(&format!("man --dir {}", folder.display()));
    let page = folder.join("sharehold-lock.1");
    let mut man = world.command("man");
    man.arg("--warnings=all")
        .arg("-l")
        .arg(&page)
        .env("MANWIDTH", "100");
    let said = said(man);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    let words = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("Run a command while holding a segment's lock"),
        "{words}"
    );
    assert!(words.contains("128 + N if signal N ended it"), "{words}");
    assert!(
        world.ok("man").starts_with(".ie"),
        "the page begins otherwise"
    );
    let said = world.run("man --dir none/such");
    assert_eq!(said.code, 1, "{said:?}");
}

#[test]
fn every_command_has_examples_and_says_how_it_ends() {
    let world = World::new();
    let help = world.ok("--help");
    let list = help
        .split("Commands:\n")
        .nth(1)
        .expect("a list")
        .split("\n\n")
        .next();
    let commands = list
        .expect("a list")
        .lines()
        .filter(|line| !line.starts_with("   "));
    let names: Vec<_> = commands
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        let help = world.ok(&format!("{name} --help"));
        for part in [
            "Examples:\n  sharehold ",
            "Exit status: ",
            "Usage: sharehold ",
        ] {
            assert!(help.contains(part), "{name} has no `{part}`");
        }
    }
}
