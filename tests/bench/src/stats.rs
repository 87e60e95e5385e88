//! Medians and ratios.

use serde::Serialize;

/// The results of several rounds: all values in order, and their median.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    /// One value per round.
    pub values: Vec<f64>,
}

impl Series {
    /// `None` without values.
    pub fn new(values: Vec<f64>) -> Option<Self> {
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        Some(Self { median: median(&sorted), min, max, values })
    }
}

/// The median of sorted values; the mean of the two middle ones if their number is even.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[middle - 1], sorted[middle]) } else { sorted[middle] }
}

/// How many times faster the first is, both being times.
pub fn speedup(ours: &Series, theirs: &Series) -> Option<f64> {
    (ours.median > 0.0).then(|| theirs.median / ours.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middles() {
        let series = Series::new(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((series.median, series.min, series.max), (2.0, 1.0, 3.0));
        assert_eq!(series.values, [3.0, 1.0, 2.0]);
        assert_eq!(Series::new(vec![1.0, 4.0, 2.0, 8.0]).unwrap().median, 3.0);
        assert_eq!(Series::new(vec![]), None);
    }

    #[test]
    fn ratios() {
        let series = |value| Series::new(vec![value]).unwrap();
        assert_eq!(speedup(&series(2.0), &series(3.0)), Some(1.5));
        assert_eq!(speedup(&series(0.0), &series(3.0)), None);
    }
}
