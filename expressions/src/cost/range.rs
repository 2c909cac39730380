//! How much at least and at most.
//!
//! Upstream: cel-go checker/cost.go (SizeEstimate, CostEstimate)

use std::{
    iter::Sum,
    ops::{Add, BitOr, Mul},
};

/// Of a cost or of a size. What is more than 64 bits hold is the most that they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub min: u64,
    pub max: u64,
}

impl Range {
    pub const ZERO: Range = Range::exactly(0);
    pub const ANY: Range = Range { min: 0, max: u64::MAX };

    pub const fn exactly(amount: u64) -> Range {
        Range { min: amount, max: amount }
    }

    /// A part or a multiple, rounded up.
    pub fn times(self, factor: f64) -> Range {
        // A float that is too large becomes the largest integer.
        let scaled = |amount: u64| (amount as f64 * factor).ceil() as u64;
        Range { min: scaled(self.min), max: scaled(self.max) }
    }

    /// One that includes what others before did.
    pub fn including(before: Option<Range>, other: Range) -> Range {
        before.map_or(other, |before| before | other)
    }
}

impl Add for Range {
    type Output = Range;

    fn add(self, other: Range) -> Range {
        Range { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }
}

impl Mul for Range {
    type Output = Range;

    fn mul(self, other: Range) -> Range {
        Range { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }
}

/// What is in one or the other.
impl BitOr for Range {
    type Output = Range;

    fn bitor(self, other: Range) -> Range {
        Range { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

impl Sum for Range {
    fn sum<I: Iterator<Item = Range>>(ranges: I) -> Range {
        ranges.fold(Range::ZERO, Range::add)
    }
}
