//! A row of numbers as a row of bars.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One bar for each number, from the least to the most of them; equal ones are all low.
pub(crate) fn line(numbers: impl IntoIterator<Item = f64>) -> String {
    let numbers: Vec<f64> = numbers.into_iter().filter(|it| it.is_finite()).collect();
    let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    between(numbers, least, most)
}

/// One bar for each number, from `least` to `most`.
pub(crate) fn between(numbers: impl IntoIterator<Item = f64>, least: f64, most: f64) -> String {
    let span = most - least;
    let bar = |number: f64| {
        let part = if span > 0.0 {
            (number - least) / span * 8.0
        } else {
            0.0
        };
        // As many of these thresholds as it reaches.
        let index = (1..8).filter(|&step| part >= f64::from(step)).count();
        BARS[index]
    };
    numbers.into_iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_go_from_the_least_to_the_most() {
        let numbers = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        assert_eq!(line(numbers), "▁▂▃▄▅▆▇██");
        assert_eq!(line([5.0, 5.0]), "▁▁");
        assert_eq!(line([f64::NAN, 1.0, 2.0]), "▁█");
        assert_eq!(line([]), "");
        assert_eq!(between([0.0, 4.0], 0.0, 8.0), "▁▅");
    }
}
