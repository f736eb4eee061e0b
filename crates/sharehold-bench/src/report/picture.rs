//! A picture as SVG text: the few shapes that the charts need, in colours for light and dark
//! surroundings.

use std::fmt::Write;

use super::digits;

/// How things look; the style sheet in the picture gives each its colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// What the picture is about.
    Ours,
    /// What it is compared with.
    Theirs,
}

impl Look {
    fn class(self) -> &'static str {
        match self {
            Look::Ours => "ours",
            Look::Theirs => "theirs",
        }
    }
}

/// Where a text is fixed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Light unless the reader's surroundings are dark; the background is the picture's own, so that it
/// is legible anywhere.
const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328}\
.paper{fill:#fff;stroke:#d1d9e0}\
.title{font-size:17px;font-weight:600}\
.faint{fill:#59636e;font-size:12px}\
.small{font-size:11.5px}\
.bold{font-weight:600}\
.grid{stroke:#d1d9e0;stroke-width:1}\
.ours{fill:#0969da;stroke:#0969da}\
.theirs{fill:#9aa4ae;stroke:#9aa4ae}\
text.ours{stroke:none}text.theirs{stroke:none;fill:#59636e}\
path{fill:none!important;stroke-width:1.6}path.ours{stroke-width:3}\
@media(prefers-color-scheme:dark){\
text{fill:#e6edf3}.paper{fill:#0d1117;stroke:#3d444d}.faint{fill:#9198a1}.grid{stroke:#2a313c}\
.ours{fill:#4493f8;stroke:#4493f8}.theirs{fill:#656c76;stroke:#656c76}text.theirs{fill:#9198a1}}";

/// A picture that is being drawn.
pub(super) struct Picture {
    width: f64,
    height: f64,
    shapes: String,
}

impl Picture {
    pub(super) fn new(width: f64, height: f64) -> Picture {
        Picture {
            width,
            height,
            shapes: String::new(),
        }
    }

    // Writing to a string does not fail: the results of `write!` below say nothing.

    pub(super) fn text(&mut self, x: f64, y: f64, anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        let _ = writeln!(
            self.shapes,
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{text}</text>"#
        );
    }

    pub(super) fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, look: Look) {
        let class = look.class();
        let _ = writeln!(
            self.shapes,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="2" class="{class}" stroke-width="0"/>"#
        );
    }

    pub(super) fn grid(&mut self, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(
            self.shapes,
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" class="grid"/>"#
        );
    }

    pub(super) fn line(&mut self, points: &[(f64, f64)], look: Look) {
        let mut path = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let step = if index == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{step}{x:.1} {y:.1}");
        }
        let class = look.class();
        let _ = writeln!(self.shapes, r#"<path d="{path}" class="{class}"/>"#);
    }

    pub(super) fn dot(&mut self, x: f64, y: f64, radius: f64, look: Look) {
        let class = look.class();
        let _ = writeln!(
            self.shapes,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" class="{class}"/>"#
        );
    }

    /// The whole picture, with alternative text.
    pub(super) fn finish(self, description: &str) -> String {
        let Picture {
            width,
            height,
            shapes,
        } = self;
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{description}">
<style>{STYLE}</style>
<rect x="0.5" y="0.5" width="{}" height="{}" rx="6" class="paper"/>
{shapes}</svg>
"#,
            width - 1.0,
            height - 1.0
        )
    }
}

/// A logarithmic axis of nanoseconds that begins with a whole decade.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogAxis {
    low: f64,
    high: f64,
    start: f64,
    length: f64,
}

impl LogAxis {
    /// An axis that shows all of the values, from `start` on over `length` (which may be negative:
    /// upwards).
    pub(super) fn over(values: impl Iterator<Item = f64>, start: f64, length: f64) -> LogAxis {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|&value| value > 0.0) {
            low = low.min(value.log10().floor());
            high = high.max(value.log10() + 0.05);
        }
        LogAxis {
            low,
            high: high.max(low + 1.0),
            start,
            length,
        }
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        let part = (value.log10() - self.low) / (self.high - self.low);
        self.start + part.clamp(0.0, 1.0) * self.length
    }

    /// The decades that have room for a label.
    pub(super) fn decades(&self) -> Vec<f64> {
        const ROOM: f64 = 46.0;
        let decade = self.length.abs() / (self.high - self.low);
        let step = (ROOM / decade).ceil().max(1.0) as usize;
        let (low, high) = (self.low as i32, self.high as i32);
        let shown = (low..=high).step_by(step);
        shown.map(|exponent| 10_f64.powi(exponent)).collect()
    }
}

/// A duration with the unit that suits it.
pub(super) fn duration(ns: f64) -> String {
    let (number, unit) = match ns {
        ns if ns < 999.5 => (ns, "ns"),
        ns if ns < 999.5e3 => (ns / 1e3, "µs"),
        ns if ns < 999.5e6 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let number = if number >= 9.995 {
        format!("{number:.0}")
    } else if number.fract() == 0.0 {
        digits(number).replace(".00", "")
    } else {
        format!("{number:.1}")
    };
    format!("{number} {unit}")
}
