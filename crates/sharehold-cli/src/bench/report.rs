//! What was measured, for people and programs.

use serde::Serialize;

use crate::table::{Align, Table};

/// One thing that was measured, in nanoseconds.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    pub(super) name: String,
    #[serde(rename = "sharehold_ns")]
    pub(super) ours: f64,
    #[serde(rename = "flock_ns", skip_serializing_if = "Option::is_none")]
    pub(super) flock: Option<f64>,
    #[serde(rename = "atomic_ns", skip_serializing_if = "Option::is_none")]
    pub(super) atomic: Option<f64>,
    /// The longest time, where that is what matters.
    #[serde(rename = "longest_ns", skip_serializing_if = "Option::is_none")]
    pub(super) longest: Option<f64>,
}

/// A time in its unit: `9.6 ns`, `1.2 ms`.
pub(super) fn time(ns: f64) -> String {
    match ns {
        ..1e3 => format!("{ns:.1} ns"),
        ..1e6 => format!("{:.1} µs", ns / 1e3),
        ..1e9 => format!("{:.2} ms", ns / 1e6),
        _ => format!("{:.2} s", ns / 1e9),
    }
}

pub(super) fn table(figures: &[Figure]) -> String {
    let mut table = Table::new([
        ("MEASURED", Align::Left),
        ("SHAREHOLD", Align::Right),
        ("FLOCK", Align::Right),
        ("ATOMIC ADD", Align::Right),
        ("LONGEST", Align::Right),
    ]);
    for figure in figures {
        let other = |ns: Option<f64>| ns.map_or_else(|| "-".to_owned(), time);
        table.row([
            figure.name.as_str().into(),
            time(figure.ours).into(),
            other(figure.flock).into(),
            other(figure.atomic).into(),
            other(figure.longest).into(),
        ]);
    }
    table.to_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let texts = [9.64, 999.0, 1500.0, 2_340_000.0, 3e9].map(time);
        assert_eq!(texts, ["9.6 ns", "999.0 ns", "1.5 µs", "2.34 ms", "3.00 s"]);
    }
}
