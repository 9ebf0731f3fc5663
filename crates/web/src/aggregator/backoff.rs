//! How long to wait before the next attempt to reach the aggregator.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// The shortest wait.
pub(super) const MIN: Duration = Duration::from_millis(100);
/// The longest wait.
pub(super) const MAX: Duration = Duration::from_secs(5);

/// The wait after `failures` in a row (from 0): doubles from [`MIN`] to [`MAX`], then `spread` (0 to 1) takes away up to
/// half, never below [`MIN`], so that many daemons do not knock at once.
pub(super) fn delay(failures: u32, spread: f64) -> Duration {
    let full = MIN.saturating_mul(1_u32.checked_shl(failures.min(16)).unwrap_or(u32::MAX)).min(MAX);
    full.mul_f64(1.0 - spread.clamp(0.0, 1.0) / 2.0).max(MIN)
}

/// A number from 0 to 1 that differs from call to call. Needs to be uneven, not unpredictable.
pub(super) fn spread() -> f64 {
    let bits = RandomState::new().hash_one(0_u8) >> 32;
    f64::from(u32::try_from(bits).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_between_their_bounds() {
        assert_eq!(delay(0, 0.0), MIN);
        assert_eq!(delay(1, 0.0), MIN * 2);
        assert_eq!(delay(40, 0.0), MAX);
        assert_eq!(delay(u32::MAX, 1.0), MAX / 2);
        for failures in 0..20 {
            for s in [0.0, 0.3, 1.0, 7.0, spread()] {
                let d = delay(failures, s);
                assert!(d >= MIN && d <= MAX, "{failures} {s} {d:?}");
            }
        }
    }
}
