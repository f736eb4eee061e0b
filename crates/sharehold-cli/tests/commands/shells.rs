//! `completions`, `man` and help: what shells and readers of manuals get.

use std::fs;

use crate::screen::Screen;
use crate::world::{World, said};

/// Words, keys, and the fields and parts of the segment whose key stands before.
#[test]
fn bash_completes_words_keys_and_fields() {
    let world = World::new();
    let _peer = crate::uses::some_parts(&world);
    world.create_job("com.example.job");
    let script = r#"
        source <(sharehold completions bash) || exit
        function offers() {
            COMP_WORDS=(sharehold "$@"); COMP_CWORD=$#; COMP_TYPE=9
            _clap_complete_sharehold sharehold "${@: -1}" "${@: -2:1}"
            (IFS=,; echo "${COMPREPLY[*]}")
        }
        offers inc
        offers lock --ti
        offers get com.example.
        offers set com.example.job l
        offers incr com.example.family limits.
        offers set --timeout 1s com.example.family t
        offers wait com.example.family re
        offers reset com.example.family r
        offers acquire com.example.family j
        offers arrive com.example.family s
    "#;
    let mut bash = world.command("bash");
    bash.args(["--norc", "-c", script]);
    let said = said(bash);
    let expected = "incr\n--timeout\ncom.example.family,com.example.job\nlimit\n\
                    limits.least,limits.most\ntable,total\nready\nready\njobs\nstart\n";
    let words = |text: &str| text.replace(' ', "");
    assert_eq!(
        (words(&said.out).as_str(), said.err.as_str()),
        (expected, ""),
        "{said:?}"
    );
}

#[test]
fn fish_completes_words_keys_and_fields() {
    let world = World::new();
    world.create_job("com.example.job");
    let script = "sharehold completions fish | source; or exit
                  complete -C 'sharehold lo'
                  complete -C 'sharehold get com.ex'
                  complete -C 'sharehold set com.example.job li'";
    let mut fish = world.command("fish");
    fish.args(["--no-config", "-c", script]);
    let said = said(fish);
    // Behind a tabulator stands what the word is.
    let words = said.out.lines().filter_map(|it| it.split('\t').next());
    let words: Vec<&str> = words.collect();
    assert_eq!(words, ["lock", "com.example.job", "limit"], "{said:?}");
    assert_eq!(said.err, "");
}

/// Zsh completes on a terminal only.
#[test]
fn zsh_completes_words_keys_and_fields() {
    let world = World::new();
    world.create_job("com.example.job");
    let mut zsh = world.command("zsh");
    zsh.args(["-f", "-i"]).env("PS1", "$ ");
    let mut screen = Screen::start(zsh, 24, 100);
    screen.shows(&["$ "]);
    let dump = world.path().join("zcompdump");
    screen.press(&format!(
        "autoload -U compinit; compinit -u -d {}; source <(sharehold completions zsh); echo re''ady\r",
        dump.display()
    ));
    screen.shows(&["\nready"]);
    for (typed, completed) in [
        ("sharehold loc\t", "sharehold lock"),
        ("sharehold get com.ex\t", "sharehold get com.example.job"),
        (
            "sharehold set com.example.job li\t",
            "sharehold set com.example.job limit",
        ),
    ] {
        screen.press(typed);
        screen.shows(&[completed]);
        // Forgets the line.
        screen.press("\x15");
    }
}

#[test]
fn every_shell_has_a_script() {
    let world = World::new();
    for (shell, sign) in [
        ("bash", "complete -o nospace"),
        ("zsh", "#compdef sharehold"),
        ("fish", "complete --keep-order"),
    ] {
        let script = world.ok(&format!("completions {shell}"));
        assert!(script.contains(sign), "{shell}: {script}");
    }
    assert_eq!(world.run("completions tcsh").code, 2);
    let mut words = world.sharehold(["--", "sharehold", ""]);
    words
        .env("SHAREHOLD_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", "1");
    let words = said(words).out;
    assert!(
        words.contains("lock") && !words.contains("lock-child"),
        "{words}"
    );
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
    for part in [
        "sharehold lock [--owner USER] [--timeout TIME]",
        "EXAMPLES",
        "EXIT STATUS",
        "ENVIRONMENT",
        "SHAREHOLD_DIR",
    ] {
        assert!(words.contains(part), "`{part}` is not in {words}");
    }
    assert!(!words.contains("EXTRA"), "{words}");
    let line = "sharehold lock --create com.example.backup -- ./backup.sh        one at a time";
    assert!(
        said.out.contains(line),
        "an example is not as it was written: {}",
        said.out
    );
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
    for part in [
        "Inspect:",
        "Change:",
        "Lock and wait:",
        "Repair:",
        "Measure:",
        "Environment:",
        "SHAREHOLD_DIR",
        "NO_COLOR",
    ] {
        assert!(help.contains(part), "`{part}` is not in {help}");
    }
    let lines = help.lines().take_while(|line| *line != "Environment:");
    let commands = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    // Not the end of a line that is too long, and no example.
    let commands = commands.filter(|line| line.trim_start().contains("  "));
    let commands = commands.filter(|line| !line.starts_with("  $"));
    let names: Vec<_> = commands
        .filter_map(|line| line.split_whitespace().next())
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
