//! The figures as a picture: bars on a scale where each step is ten times the one before.

use std::fmt::Write as _;

use super::report::{Figure, time};

const WIDTH: f64 = 760.0;
/// Where bars begin, and how far the longest reaches.
const LEFT: f64 = 210.0;
const LONGEST: f64 = 440.0;
const BAR: f64 = 12.0;
const GAP: f64 = 12.0;
const TOP: f64 = 58.0;

const STYLE: &str = "\
.page{fill:#ffffff}.word{fill:#24292f}.less{fill:#57606a}.a{fill:#1a7f64}.b{fill:#c9873a}.c{fill:#8c959f}\
@media(prefers-color-scheme:dark){.page{fill:#0d1117}.word{fill:#e6edf3}.less{fill:#8d96a0}\
.a{fill:#3fb68b}.b{fill:#d9a05b}.c{fill:#6e7681}}";

/// Draws the figures.
pub(super) fn of(figures: &[Figure]) -> String {
    let times = || figures.iter().flat_map(bars).map(|(_, ns)| ns.max(1.0));
    let least = times().fold(f64::MAX, f64::min).log10().floor();
    let most = times().fold(1.0, f64::max).log10().ceil().max(least + 1.0);
    let length = |ns: f64| LONGEST * ((ns.max(1.0).log10() - least) / (most - least)).max(0.01);
    let mut shapes = String::new();
    let mut y = TOP;
    for figure in figures {
        let count = bars(figure).count();
        let middle = y + BAR * f64::from(u32::try_from(count).unwrap_or(1)) / 2.0;
        let name = &figure.name;
        // Writing to a string does not fail.
        let _ = writeln!(
            shapes,
            r#"<text class="word" x="{:.0}" y="{:.0}" text-anchor="end">{name}</text>"#,
            LEFT - 12.0,
            middle + 4.0
        );
        for (class, ns) in bars(figure) {
            let (end, shown) = (length(ns), time(ns));
            let _ = writeln!(
                shapes,
                r#"<rect class="{class}" x="{LEFT}" y="{y:.0}" width="{end:.1}" height="{:.0}"/><text class="less" x="{:.1}" y="{:.0}">{shown}</text>"#,
                BAR - 2.0,
                LEFT + end + 6.0,
                y + BAR - 3.0
            );
            y += BAR;
        }
        y += GAP;
    }
    let mut legend = String::new();
    for (index, (class, name)) in (0_u8..).zip([
        ("a", "sharehold"),
        ("b", "flock"),
        ("c", "atomic add, in threads"),
    ]) {
        let x = LEFT + 110.0 * f64::from(index);
        let _ = writeln!(
            legend,
            r#"<rect class="{class}" x="{x}" y="32" width="10" height="10"/><text class="word" x="{:.0}" y="41">{name}</text>"#,
            x + 15.0
        );
    }
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:.0}" font-family="sans-serif" font-size="11">
<style>{STYLE}</style>
<rect class="page" width="{WIDTH}" height="{y:.0}"/>
<text class="word" x="{LEFT}" y="20" font-size="14">Time, less is better; each step of length is the same factor</text>
{legend}{shapes}</svg>
"#
    )
}

/// The bars of a figure, each with its colour.
fn bars(figure: &Figure) -> impl Iterator<Item = (&'static str, f64)> {
    let bars = [
        ("a", Some(figure.ours)),
        ("b", figure.flock),
        ("c", figure.atomic),
    ];
    bars.into_iter()
        .filter_map(|(class, ns)| Some((class, ns?)))
}
