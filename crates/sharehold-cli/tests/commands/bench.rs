//! `bench`: every figure is there, and nothing is left.

use std::fs;

use serde_json::Value;

use crate::screen::Screen;
use crate::world::World;

#[test]
fn every_figure_is_there_and_nothing_is_left() {
    let world = World::new();
    let picture = world.path().join("bench.svg");
    let said = world.ok(&format!(
        "bench --seconds 1 --json --svg {}",
        picture.display()
    ));
    let figures: Vec<Value> = serde_json::from_str(&said).expect("JSON");
    let positive = |value: &Value| value.as_f64().is_some_and(|ns| ns > 0.0);
    assert_eq!(figures.len(), 9);
    for figure in &figures {
        assert!(positive(&figure["sharehold_ns"]), "{figure}");
    }
    for figure in &figures[..5] {
        assert!(
            positive(&figure["flock_ns"]) && positive(&figure["atomic_ns"]),
            "{figure}"
        );
    }
    assert!(positive(&figures[8]["longest_ns"]), "{figures:?}");
    let picture = fs::read_to_string(picture).expect("it was drawn");
    assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
    assert_eq!(picture.matches("<rect").count(), 1 + 3 + 5 * 3 + 4);
    assert!(world.is_empty());
}

#[test]
fn a_picture_that_cannot_be_drawn_is_an_error() {
    let world = World::new();
    let said = world.run("bench --seconds 1 --svg none/such.svg");
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("cannot write none/such.svg"), "{said:?}");
    assert!(said.out.contains("wake-up"), "{said:?}");
}

#[test]
fn a_terminal_shows_what_is_measured_and_for_how_long() {
    let world = World::new();
    let command = world.sharehold(["bench", "--seconds", "20"]);
    let screen = Screen::start(command, 24, 100);
    screen.shows(&["lock and unlock, ", "s of about 20 s"]);
    screen.shows(&["count, 1 process, ", "s of about 20 s"]);
    screen.signal(rustix::process::Signal::TERM);
    assert_eq!(screen.ends().code(), None);
    assert!(world.is_empty());
}
