//! Round steps for axes, of time and of numbers.

use std::time::Duration;

const STEPS: &[u64] =
    &[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400];

/// The round steps from zero to at least `max`, at most `lines` of them after zero. In seconds.
pub(crate) fn steps(max: Duration, lines: u64) -> Vec<u64> {
    let seconds = max.as_secs().max(1);
    let step = STEPS
        .iter()
        .copied()
        .find(|step| seconds.div_ceil(*step) <= lines)
        .unwrap_or_else(|| seconds.div_ceil(lines).next_multiple_of(86_400));
    (0..=seconds.div_ceil(step)).map(|n| n * step).collect()
}

/// The same for numbers of things: steps of 1, 2 or 5 of some power of ten.
pub(crate) fn counts(max: u64, lines: u64) -> Vec<u64> {
    let max = max.max(1);
    let step = (0..19)
        .flat_map(|power| [1, 2, 5].map(|n| n * 10_u64.pow(power)))
        .find(|step| max.div_ceil(*step) <= lines)
        .unwrap_or(max);
    (0..=max.div_ceil(step)).map(|n| n * step).collect()
}

/// A step as its axis names it: `0`, `30 s`, `5 min`, `2 h`, `1 d`.
pub(crate) fn label(seconds: u64) -> String {
    match seconds {
        0 => "0".into(),
        s if s % 86_400 == 0 => format!("{} d", s / 86_400),
        s if s % 3_600 == 0 => format!("{} h", s / 3_600),
        s if s % 60 == 0 => format!("{} min", s / 60),
        s if s > 60 => format!("{} m {:02} s", s / 60, s % 60),
        s => format!("{s} s"),
    }
}

/// `part` of `whole` as a percentage that SVG takes.
#[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
pub(crate) fn percent(part: Duration, whole: u64) -> f64 {
    let share = part.as_secs_f64() / whole.max(1) as f64 * 100.0;
    (share.clamp(0.0, 100.0) * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_few() {
        let of = |s| steps(Duration::from_secs(s), 4);
        assert_eq!(of(0), [0, 1]);
        assert_eq!(of(372), [0, 120, 240, 360, 480]);
        assert_eq!(of(3_700), [0, 1_800, 3_600, 5_400]);
        assert!(of(1_000_000).len() <= 5);
        assert!(of(1_000_000).last().is_some_and(|top| *top >= 1_000_000));
    }

    #[test]
    fn numbers_have_round_steps() {
        assert_eq!(counts(0, 4), [0, 1]);
        assert_eq!(counts(3, 4), [0, 1, 2, 3]);
        assert_eq!(counts(93, 4), [0, 50, 100]);
        assert_eq!(counts(1_204, 4), [0, 500, 1_000, 1_500]);
        assert!(counts(u64::MAX / 2, 4).len() <= 5);
    }

    #[test]
    fn labels_have_one_unit() {
        assert_eq!(
            [0, 30, 120, 5_400, 7_200, 86_400].map(label),
            ["0", "30 s", "2 min", "90 min", "2 h", "1 d"]
        );
    }
}
