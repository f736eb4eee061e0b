//! That a panic gives the terminal back, which the real command cannot be made to show.

use std::env;
use std::process::Command;

use super::Screen;

#[expect(
    dead_code,
    reason = "what else can be done on a terminal, the tests of the command do"
)]
#[path = "../../../tests/commands/screen.rs"]
mod screen;

/// Set in the process that is to panic.
const PANICS: &str = "SHAREHOLD_PANICS";

#[test]
fn a_panic_gives_the_terminal_back() {
    if env::var_os(PANICS).is_some() {
        let mut screen = Screen::open().expect("it is on a terminal");
        let drawn = screen.draw(|frame| frame.render_widget("about to panic", frame.area()));
        drawn.expect("it is on a terminal");
        panic!("as the test wants it");
    }
    let own = env::current_exe().expect("it has a file");
    let mut again = Command::new(own);
    again
        .env(PANICS, "1")
        .args(["--nocapture", "a_panic_gives_the_terminal_back"]);
    let screen = screen::Screen::start(again, 24, 80);
    screen.shows(&["as the test wants it"]);
    assert_eq!(screen.ends().code(), Some(101));
}
