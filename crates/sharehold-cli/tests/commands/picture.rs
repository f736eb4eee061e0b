//! The picture of `top` in the README: what a terminal shows, as SVG.
//!
//! `SHAREHOLD_PICTURES=docs/pictures ci/test --test commands picture` makes it anew.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use crate::rows::{chosen, lines, size};
use crate::screen::Screen;
use crate::world::{Holder, World};

/// Names the folder that is to get the picture.
const FOLDER: &str = "SHAREHOLD_PICTURES";

/// A character's place, in units of the picture.
const WIDTH: f64 = 8.4;
const HEIGHT: f64 = 18.0;
const MARGIN: f64 = 12.0;
const BACK: &str = "#1b1f27";
const FORE: &str = "#d5d9e0";
const FAINT: &str = "#868e9c";

/// A shell under another name, as if it were another program.
fn program(world: &World, name: &str) -> String {
    let program = world.path().join(name);
    if !program.exists() {
        symlink("/bin/sh", &program).expect("there is room");
    }
    program.to_str().expect("it is plain").to_owned()
}

/// Changes a value again and again, with a pause between two changes that changes too.
fn change(world: &World, key: &str, pauses: &str) -> Holder {
    let script = format!(
        "while :; do for pause in {pauses}; do for _ in 1 2 3 4 5 6; do \
         sharehold incr {key} value; sleep $pause; done; done; done"
    );
    let mut command = world.command("sh");
    command.args(["-c", &script]).stdout(Stdio::null());
    Holder(command.spawn().expect("it starts"))
}

/// What `top` shows of a small system in which something has just died.
fn screen(world: &World) -> vt100::Screen {
    for key in ["rates", "tally", "settings"] {
        world.ok(&format!("create com.example.{key} --fields value:u64"));
    }
    world.ok("create com.example.orders --size 65536");
    world.ok("create com.example.frames --size 8388608");
    world.ok("create com.example.session --size 4096");
    let _orders = world.hold_as(&program(world, "importer"), "com.example.orders");
    let _frames = world.hold_as(&program(world, "camera"), "com.example.frames");
    for key in ["com.example.session", "com.example.upload"] {
        world.hold_as(&program(world, "uploader"), key).kill();
    }
    let _tally = change(world, "com.example.tally", "0.002 0.01 0.03 0.005");
    let _rates = change(world, "com.example.rates", "0.1 0.05 0.02");
    let mut top = Screen::start(world.sharehold(["top", "--every", "200ms"]), 14, 80);
    let full = |line: &String| {
        line.chars()
            .filter(|char| "▁▂▃▄▅▆▇█".contains(*char))
            .count()
            == 8
    };
    top.until(|seen| {
        let lines = lines(seen);
        let tally = lines.iter().find(|line| line.contains("com.example.tally"));
        tally.is_some_and(full)
    });
    top.press("j");
    let screen = top.until(|seen| chosen(seen).is_some_and(|line| line.contains("orders")));
    top.press("q");
    assert!(top.ends().success());
    screen
}

/// A run of cells that look alike.
struct Run {
    column: u16,
    text: String,
    fore: &'static str,
    back: Option<&'static str>,
    bold: bool,
}

impl Run {
    fn of(cell: &vt100::Cell, column: u16) -> Run {
        let fore = match cell.fgcolor() {
            vt100::Color::Idx(1) => "#e5686b",
            vt100::Color::Idx(2) => "#7fc98b",
            vt100::Color::Idx(3) => "#e3bd6b",
            _ if cell.dim() => FAINT,
            _ => FORE,
        };
        let (fore, back) = if cell.inverse() {
            (BACK, Some(FORE))
        } else {
            (fore, None)
        };
        let text = match cell.contents() {
            "" => " ".to_owned(),
            text => text.to_owned(),
        };
        Run {
            column,
            text,
            fore,
            back,
            bold: cell.bold(),
        }
    }

    fn looks_like(&self, other: &Run) -> bool {
        (self.fore, self.back, self.bold) == (other.fore, other.back, other.bold)
    }

    fn draw(&self, row: u16, svg: &mut String) {
        let (x, y) = (
            MARGIN + WIDTH * f64::from(self.column),
            MARGIN + HEIGHT * f64::from(row),
        );
        let cells = u16::try_from(self.text.chars().count()).expect("it is on a line");
        let width = WIDTH * f64::from(cells);
        if let Some(back) = self.back {
            let _ = writeln!(
                svg,
                r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{HEIGHT}" fill="{back}"/>"#
            );
        }
        if self.text.trim().is_empty() {
            return;
        }
        let text = self.text.replace('&', "&amp;").replace('<', "&lt;");
        let weight = if self.bold {
            r#" font-weight="bold""#
        } else {
            ""
        };
        let line = y + HEIGHT * 0.75;
        let fore = self.fore;
        let _ = writeln!(
            svg,
            r#"<text x="{x:.1}" y="{line:.1}" textLength="{width:.1}" fill="{fore}"{weight}>{text}</text>"#
        );
    }
}

fn svg(screen: &vt100::Screen) -> String {
    let (rows, columns) = size(screen);
    let width = 2.0 * MARGIN + WIDTH * f64::from(columns);
    let height = 2.0 * MARGIN + HEIGHT * f64::from(rows);
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14" xml:space="preserve">
<title>sharehold top</title>
<rect width="100%" height="100%" rx="8" fill="{BACK}"/>
"#
    );
    for row in 0..rows {
        let cells =
            (0..columns).filter_map(|column| Some(Run::of(screen.cell(row, column)?, column)));
        let mut line: Vec<Run> = Vec::new();
        for run in cells {
            match line.last_mut() {
                Some(last) if last.looks_like(&run) => last.text += &run.text,
                _ => line.push(run),
            }
        }
        for run in line {
            run.draw(row, &mut svg);
        }
    }
    svg + "</svg>\n"
}

#[test]
fn the_picture_of_top_shows_what_the_screen_does() {
    let world = World::new();
    let svg = svg(&screen(&world));
    assert!(svg.starts_with("<svg "), "{svg}");
    for words in ["CHANGES/S", "com.example.orders", "importer", "q quit"] {
        assert!(svg.contains(words), "{svg}");
    }
    if let Some(folder) = env::var_os(FOLDER) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let path = root.join(folder).join("top.svg");
        fs::write(path, svg).expect("the folder is there");
    }
}
