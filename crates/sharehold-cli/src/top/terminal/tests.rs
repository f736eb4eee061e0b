//! That a panic gives the terminal back, which the real command cannot be made to show.

use std::env;
use std::process::Command;
use std::time::Duration;

use ratatui::crossterm::event::Event;

use super::Screen;

#[path = "../../../tests/commands/screen.rs"]
mod screen;

/// Set in the process that is to panic.
const PANICS: &str = "SHAREHOLD_PANICS";

/// Shows how large the terminal is, and panics when a key is pressed.
fn panic_at_a_key() {
    let mut screen = Screen::open().expect("it is on a terminal");
    loop {
        let drawn = screen.draw(|frame| {
            let area = frame.area();
            frame.render_widget(format!("{} rows", area.height), area);
        });
        drawn.expect("it is on a terminal");
        let event = screen.event(Duration::from_millis(100));
        if let Some(Event::Key(_)) = event.expect("it is on a terminal") {
            panic!("as the test wants it");
        }
    }
}

#[test]
fn a_panic_gives_the_terminal_back() {
    if env::var_os(PANICS).is_some() {
        panic_at_a_key();
    }
    let own = env::current_exe().expect("it has a file");
    let mut again = Command::new(own);
    again
        .env(PANICS, "1")
        .args(["--nocapture", "a_panic_gives_the_terminal_back"]);
    let mut screen = screen::Screen::start(again, 24, 80);
    screen.shows(&["24 rows"]);
    screen.resize(10, 60);
    screen.shows(&["10 rows"]);
    screen.press("x");
    screen.shows(&["as the test wants it"]);
    assert_eq!(screen.ends().code(), Some(101));
}
