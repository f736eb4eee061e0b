//! Medians, quartiles and histograms.

use serde::{Deserialize, Serialize};

/// The value below which the share `part` (0 to 1) of the values lie.
pub(crate) fn quantile(values: &[f64], part: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let position = part * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (position.floor() as usize, position.ceil() as usize);
    let (low, high) = (sorted.get(below)?, sorted.get(above)?);
    Some(low + (high - low) * position.fract())
}

pub(crate) fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// How often durations were in each bucket: 16 buckets for each power of two of nanoseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Histogram {
    buckets: std::collections::BTreeMap<u32, u64>,
    longest: f64,
}

impl Histogram {
    /// Reads `bucket:count,bucket:count,`, as a peer says it.
    pub(crate) fn add_text(&mut self, text: &str, longest: f64) {
        for (bucket, count) in text.split(',').filter_map(|pair| pair.split_once(':')) {
            if let (Ok(bucket), Ok(count)) = (bucket.parse(), count.parse::<u64>()) {
                *self.buckets.entry(bucket).or_default() += count;
            }
        }
        self.longest = self.longest.max(longest);
    }

    pub(crate) fn add(&mut self, ns: f64) {
        let exact = ns.max(0.0) as u64;
        let bucket = match exact.checked_ilog2() {
            Some(exponent) if exponent >= 4 => {
                (exponent - 3) * 16 + u32::try_from(exact >> (exponent - 4) & 15).unwrap_or(0)
            }
            _ => u32::try_from(exact).unwrap_or(0),
        };
        *self.buckets.entry(bucket).or_default() += 1;
        self.longest = self.longest.max(ns);
    }

    /// Adds what another one has.
    pub(crate) fn merge(&mut self, other: &Histogram) {
        for (&bucket, count) in &other.buckets {
            *self.buckets.entry(bucket).or_default() += count;
        }
        self.longest = self.longest.max(other.longest);
    }

    pub(crate) fn count(&self) -> u64 {
        self.buckets.values().sum()
    }

    pub(crate) fn longest(&self) -> f64 {
        self.longest
    }

    /// The upper end of the bucket in which the share `part` (0 to 1) is reached, but never more
    /// than the longest.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let wanted = part * self.count() as f64;
        let mut seen = 0;
        for (&bucket, count) in &self.buckets {
            seen += count;
            if seen as f64 >= wanted {
                return upper_end(bucket).min(self.longest);
            }
        }
        self.longest
    }
}

fn upper_end(bucket: u32) -> f64 {
    if bucket < 16 {
        return f64::from(bucket + 1);
    }
    let step = f64::from(bucket / 16 - 1).exp2();
    f64::from(16 + bucket % 16 + 1) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_values() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(quantile(&[1.0, 2.0], 1.0), Some(2.0));
    }

    #[test]
    fn a_histogram_is_right_to_a_sixteenth() {
        for ns in [
            0.0,
            1.0,
            15.0,
            16.0,
            17.0,
            31.0,
            32.0,
            1000.0,
            123_456_789.0,
        ] {
            let mut histogram = Histogram::default();
            histogram.add(ns);
            histogram.add(1e12);
            let found = histogram.quantile(0.5);
            assert!(
                found > ns && found <= (ns * 17.0 / 16.0).max(ns + 1.0),
                "{ns}: {found}"
            );
        }
        let mut histogram = Histogram::default();
        histogram.add_text("16:3,32:1,", 33.0);
        assert_eq!(histogram.count(), 4);
        let found = [0.75, 1.0].map(|part| format!("{}", histogram.quantile(part)));
        assert_eq!(found, ["17", "33"]);
    }
}
