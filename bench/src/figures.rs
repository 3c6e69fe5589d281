//! Numbers as they are printed: rounded, sorted, by rank.

/// Rounded to so many digits behind the point.
pub fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

/// The value that this share of the values does not exceed; 0 of none. Sorts them.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_counted_from_the_smallest() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        for (share, expected) in [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (0.999, 100.0), (1.0, 100.0)] {
            assert_eq!(percentile(&mut values, share), expected, "{share}");
        }
        assert_eq!(percentile(&mut [], 0.5), 0.0);
        assert_eq!(round(1.23456, 3), 1.235);
    }
}
