//! Decides when a row of probe answers changes the verdict.
//!
//! Upstream: pkg/kubelet/prober/worker.go (resultRun)
//! Left out: nothing.

use k8s_openapi::api::core::v1::Probe;

/// The verdict has changed, or is given for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Succeeded,
    Failed,
}

/// Counts equal answers in a row.
#[derive(Debug)]
pub struct Threshold {
    successes_needed: i32,
    failures_needed: i32,
    last: Option<bool>,
    in_a_row: i32,
    verdict: Option<Turn>,
}

impl Threshold {
    pub fn of(probe: &Probe) -> Self {
        Self {
            successes_needed: probe.success_threshold.unwrap_or(1).max(1),
            failures_needed: probe.failure_threshold.unwrap_or(3).max(1),
            last: None,
            in_a_row: 0,
            verdict: None,
        }
    }

    /// Takes one more answer; says so when it turns the verdict.
    pub fn hear(&mut self, success: bool) -> Option<Turn> {
        self.in_a_row = if self.last == Some(success) { self.in_a_row + 1 } else { 1 };
        self.last = Some(success);
        let (needed, turn) =
            if success { (self.successes_needed, Turn::Succeeded) } else { (self.failures_needed, Turn::Failed) };
        if self.in_a_row < needed || self.verdict == Some(turn) {
            return None;
        }
        self.verdict = Some(turn);
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answers: &str, expected: &str) {
        let probe = Probe { failure_threshold: Some(3), success_threshold: Some(2), ..Default::default() };
        let mut threshold = Threshold::of(&probe);
        let turns = answers.chars().map(|answer| match threshold.hear(answer == '+') {
            Some(Turn::Succeeded) => 'S',
            Some(Turn::Failed) => 'F',
            None => '.',
        });
        assert_eq!(turns.collect::<String>(), expected);
    }

    #[test]
    fn three_failures_in_a_row_fail_and_two_successes_succeed() {
        check("++---++", ".S..F.S");
    }

    #[test]
    fn a_success_between_failures_starts_the_count_again() {
        check("--+--+---", "........F");
    }

    #[test]
    fn a_verdict_is_given_once() {
        check("-----", "..F..");
    }
}
