//! The arithmetic of the benchmark: medians, ratios, and whether a goal was reached.

/// The middle of the values, or the mean of the two in the middle; `None` without values.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(*upper);
    }
    let lower = sorted.get((sorted.len() / 2).checked_sub(1)?)?;
    Some(f64::midpoint(*lower, *upper))
}

/// `part / whole`; `None` when that means nothing.
pub(crate) fn ratio(part: f64, whole: f64) -> Option<f64> {
    let ratio = part / whole;
    (whole > 0.0 && ratio.is_finite()).then_some(ratio)
}

/// On which side of its goal a figure has to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sense {
    /// Larger is better, as with speed.
    AtLeast,
    /// Smaller is better, as with memory.
    AtMost,
}

/// One goal of the issue and what was measured for it.
#[derive(Clone, Debug)]
pub(crate) struct Goal {
    /// What is compared, such as `speed / best verified peer (aria2)`.
    pub(crate) what: String,
    /// On which side of the goal the figure has to lie.
    pub(crate) sense: Sense,
    /// The figure to reach.
    pub(crate) goal: f64,
    /// The figure that was measured; `None` when nothing could be compared.
    pub(crate) measured: Option<f64>,
}

/// Whether a goal was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The figure lies on the right side, the goal itself included.
    Reached,
    /// It lies on the wrong side.
    Missed,
    /// Something to compare with was not installed or not measured.
    Open,
}

impl Verdict {
    /// As it is printed.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Missed => "missed",
            Self::Open => "not measured",
        }
    }
}

impl Goal {
    /// Whether it was reached.
    pub(crate) fn verdict(&self) -> Verdict {
        let Some(measured) = self.measured.filter(|measured| measured.is_finite()) else {
            return Verdict::Open;
        };
        let reached = match self.sense {
            Sense::AtLeast => measured >= self.goal,
            Sense::AtMost => measured <= self.goal,
        };
        if reached {
            Verdict::Reached
        } else {
            Verdict::Missed
        }
    }

    /// How far the figure is from its goal, as a share of the goal: positive is better than asked.
    pub(crate) fn margin(&self) -> Option<f64> {
        let margin = ratio(self.measured? - self.goal, self.goal)?;
        Some(match self.sense {
            Sense::AtLeast => margin,
            Sense::AtMost => -margin,
        })
    }

    /// One line: the goal, the figure, the verdict.
    pub(crate) fn line(&self) -> String {
        let side = match self.sense {
            Sense::AtLeast => "at least",
            Sense::AtMost => "at most",
        };
        let (Some(measured), Some(margin)) = (self.measured, self.margin()) else {
            return format!(
                "{}: goal {side} {}: not measured",
                self.what,
                short(self.goal)
            );
        };
        format!(
            "{}: {} (goal {side} {}): {} by {:.1} %",
            self.what,
            short(measured),
            short(self.goal),
            self.verdict().word(),
            margin.abs() * 100.0
        )
    }
}

/// A figure with as many digits as it deserves.
pub(crate) fn short(value: f64) -> String {
    if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(sense: Sense, goal: f64, measured: Option<f64>) -> Goal {
        Goal {
            what: "x".to_owned(),
            sense,
            goal,
            measured,
        }
    }

    #[test]
    fn median_of_odd_even_one_and_none() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn one_outlier_does_not_move_the_median() {
        assert_eq!(median(&[10.0, 11.0, 1000.0]), Some(11.0));
    }

    #[test]
    fn ratio_needs_a_whole() {
        assert_eq!(ratio(3.0, 2.0), Some(1.5));
        assert_eq!(ratio(0.0, 2.0), Some(0.0));
        assert_eq!(ratio(1.0, 0.0), None);
        assert_eq!(ratio(0.0, 0.0), None);
        assert_eq!(ratio(f64::NAN, 1.0), None);
    }

    #[test]
    fn the_goal_itself_is_reached_on_both_sides() {
        assert_eq!(
            goal(Sense::AtLeast, 1.5, Some(1.5)).verdict(),
            Verdict::Reached
        );
        assert_eq!(
            goal(Sense::AtMost, 1.5, Some(1.5)).verdict(),
            Verdict::Reached
        );
        assert_eq!(
            goal(Sense::AtLeast, 1.5, Some(1.49)).verdict(),
            Verdict::Missed
        );
        assert_eq!(
            goal(Sense::AtMost, 1.5, Some(1.51)).verdict(),
            Verdict::Missed
        );
        assert_eq!(goal(Sense::AtMost, 1.5, None).verdict(), Verdict::Open);
        assert_eq!(
            goal(Sense::AtMost, 1.5, Some(f64::NAN)).verdict(),
            Verdict::Open
        );
    }

    #[test]
    fn the_margin_is_positive_when_it_is_better_than_asked() {
        assert_eq!(goal(Sense::AtLeast, 2.0, Some(3.0)).margin(), Some(0.5));
        assert_eq!(goal(Sense::AtMost, 2.0, Some(3.0)).margin(), Some(-0.5));
        assert_eq!(goal(Sense::AtMost, 2.0, Some(1.0)).margin(), Some(0.5));
        assert_eq!(goal(Sense::AtMost, 2.0, None).margin(), None);
    }

    #[test]
    fn the_line_names_figure_goal_and_verdict() {
        assert_eq!(
            goal(Sense::AtLeast, 2.0, Some(1.0)).line(),
            "x: 1.00 (goal at least 2.00): missed by 50.0 %"
        );
        assert_eq!(
            goal(Sense::AtMost, 250.0, None).line(),
            "x: goal at most 250: not measured"
        );
    }
}
