//! Amounts of a resource as manifests write them: `500m`, `64Mi`, `1.5`, `2e3`.
//!
//! Upstream: apimachinery/pkg/api/resource (quantity.go, suffix.go)
//! Left out: decimal amounts beyond about 10^29, which saturate here and are exact there.
//!
//! A quantity is a count of nano-units (10^-9), so every amount is exact and sums never lose anything; finer input is
//! rounded up. It remembers in which style it was written and is written back in that style's canonical form.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

const NANOS: i128 = 1_000_000_000;
const MAX_BINARY: i128 = i64::MAX as i128 * NANOS;

/// The style in which a quantity is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `64Mi`: powers of 1024.
    Binary,
    /// `500m`, `2k`: powers of 1000.
    #[default]
    Decimal,
    /// `2e3`: powers of ten, written out.
    Exponent,
}

/// An exact amount. Compared and added by value; the format only matters for how it is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// Why a string is not a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    #[error("unable to parse numeric part of quantity")]
    Number,
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

impl Quantity {
    /// A whole number of units, written in `format`.
    pub fn new(value: i64, format: Format) -> Quantity {
        Quantity { nanos: i128::from(value) * NANOS, format }
    }

    /// A number of thousandths, written in `format`: `1500` is `1.5` units.
    pub fn from_milli(value: i64, format: Format) -> Quantity {
        Quantity { nanos: i128::from(value) * (NANOS / 1000), format }
    }

    /// Reads a quantity.
    ///
    /// # Errors
    /// Says which part of the text cannot be read, in upstream's words.
    pub fn parse(text: &str) -> Result<Quantity, QuantityError> {
        let (negative, unsigned) = match text.as_bytes().first() {
            None => return Err(QuantityError::Format),
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            Some(_) => (false, text),
        };
        let digits_end = unsigned.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(unsigned.len());
        let (whole, rest) = unsigned.split_at(digits_end);
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => {
                let end = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
                rest.split_at(end)
            }
            None => ("", rest),
        };
        if !suffix_has_form(suffix) {
            return Err(QuantityError::Format);
        }
        if whole.is_empty() && fraction.is_empty() && !unsigned.is_empty() {
            return Err(QuantityError::Number);
        }
        let (unit, mut format) = read_suffix(suffix).ok_or(QuantityError::Suffix)?;
        let mut nanos = match unit {
            Unit::PowerOfTen(exponent) => scaled(whole, fraction, exponent + 9),
            Unit::PowerOfTwo(exponent) => {
                let mantissa = scaled(whole, fraction, 9 + fraction.len() as i64);
                let shift = 10i128.checked_pow(fraction.len() as u32).unwrap_or(i128::MAX);
                let product = mantissa.checked_mul(1 << exponent).unwrap_or(i128::MAX);
                // Dividing the way upstream's rounding does: any part of a nano-unit counts as a whole one.
                (product / shift + i128::from(product % shift != 0)).min(MAX_BINARY)
            }
        };
        if format == Format::Binary && 0 < nanos && nanos < NANOS {
            format = Format::Decimal;
        }
        if negative {
            nanos = -nanos;
        }
        Ok(Quantity { nanos, format })
    }

    /// The amount in whole units, rounded away from zero; saturates.
    pub fn value(&self) -> i64 {
        self.rounded(NANOS)
    }

    /// The amount in thousandths, rounded away from zero; saturates.
    pub fn milli_value(&self) -> i64 {
        self.rounded(NANOS / 1000)
    }

    fn rounded(&self, unit: i128) -> i64 {
        let away = self.nanos / unit + if self.nanos % unit == 0 { 0 } else { self.nanos.signum() };
        away.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// The amount as a floating point number of units, for ratios only.
    pub fn as_f64(&self) -> f64 {
        self.nanos as f64 / NANOS as f64
    }

    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// Whether the amount is a whole number of units.
    pub fn is_whole(&self) -> bool {
        self.nanos % NANOS == 0
    }

    pub fn format(&self) -> Format {
        self.format
    }
}

impl std::ops::Add for Quantity {
    type Output = Quantity;

    /// The sum, in the left side's format unless that is zero; saturates.
    fn add(self, other: Quantity) -> Quantity {
        let format = if self.is_zero() { other.format } else { self.format };
        Quantity { nanos: self.nanos.saturating_add(other.nanos), format }
    }
}

impl std::ops::Sub for Quantity {
    type Output = Quantity;

    /// The difference, in the left side's format unless that is zero; saturates.
    fn sub(self, other: Quantity) -> Quantity {
        self + Quantity { nanos: -other.nanos, ..other }
    }
}

impl std::ops::AddAssign for Quantity {
    fn add_assign(&mut self, other: Quantity) {
        *self = *self + other;
    }
}

impl std::ops::SubAssign for Quantity {
    fn sub_assign(&mut self, other: Quantity) {
        *self = *self - other;
    }
}

impl std::iter::Sum for Quantity {
    fn sum<I: Iterator<Item = Quantity>>(items: I) -> Quantity {
        items.fold(Quantity::default(), |sum, item| sum + item)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Quantity, QuantityError> {
        Quantity::parse(text)
    }
}

/// The canonical form: no fraction, the largest suffix that keeps the number whole.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        if self.format == Format::Binary && self.is_whole() && self.nanos.abs() >= 1024 * NANOS {
            let mut number = self.nanos / NANOS;
            let mut suffix = 0;
            while number % 1024 == 0 && suffix < BINARY_SUFFIXES.len() - 1 {
                number /= 1024;
                suffix += 1;
            }
            return write!(f, "{number}{}", BINARY_SUFFIXES[suffix]);
        }
        let mut number = self.nanos;
        let mut exponent = -9;
        while number % 1000 == 0 && exponent < 18 {
            number /= 1000;
            exponent += 3;
        }
        match self.format {
            Format::Exponent if exponent == 0 => write!(f, "{number}"),
            Format::Exponent => write!(f, "{number}e{exponent}"),
            _ => write!(f, "{number}{}", DECIMAL_SUFFIXES[((exponent + 9) / 3) as usize]),
        }
    }
}

const DECIMAL_SUFFIXES: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
const BINARY_SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

enum Unit {
    PowerOfTen(i64),
    PowerOfTwo(u32),
}

/// Letters, then an optional sign, then digits: the second group of the regular expression.
fn suffix_has_form(suffix: &str) -> bool {
    let rest = suffix.trim_start_matches(|letter| "eEinumkKMGTP".contains(letter));
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    rest.bytes().all(|byte| byte.is_ascii_digit())
}

fn read_suffix(suffix: &str) -> Option<(Unit, Format)> {
    if let Some(index) = DECIMAL_SUFFIXES.iter().position(|known| *known == suffix) {
        return Some((Unit::PowerOfTen(index as i64 * 3 - 9), Format::Decimal));
    }
    if let Some(index) = BINARY_SUFFIXES.iter().position(|known| *known == suffix) {
        return Some((Unit::PowerOfTwo(index as u32 * 10), Format::Binary));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((Unit::PowerOfTen(exponent.into()), Format::Exponent))
}

/// `whole.fraction` times ten to the `exponent`, rounded up to a whole number; saturates.
fn scaled(whole: &str, fraction: &str, exponent: i64) -> i128 {
    let mut number: i128 = 0;
    let mut remaining = exponent;
    let mut dropped = false;
    let point = whole.len();
    for (index, digit) in whole.bytes().chain(fraction.bytes()).enumerate() {
        // The weight of this digit is ten to the (point - 1 - index + exponent).
        if point as i64 - 1 - (index as i64) + exponent < 0 {
            dropped |= digit != b'0';
            continue;
        }
        number = number.saturating_mul(10).saturating_add(i128::from(digit - b'0'));
        if index >= point {
            remaining -= 1;
        }
    }
    let mut weight = remaining;
    while weight > 0 && number != 0 && number < i128::MAX / 10 {
        number *= 10;
        weight -= 1;
    }
    if weight > 0 && number != 0 {
        number = i128::MAX / 2;
    }
    number.saturating_add(i128::from(dropped))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, canonical: &str) {
        assert_eq!(Quantity::parse(text).unwrap().to_string(), canonical, "{text}");
    }

    #[test]
    fn a_quantity_is_written_back_in_its_canonical_form() {
        for (text, canonical) in [
            ("0", "0"),
            ("0Mi", "0"),
            ("-0", "0"),
            ("1", "1"),
            ("+1", "1"),
            ("007", "7"),
            ("1000m", "1"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("5.", "5"),
            ("100m", "100m"),
            ("1500m", "1500m"),
            ("1000", "1k"),
            ("1024", "1024"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Gi", "512Mi"),
            ("512Ki", "512Ki"),
            ("1023", "1023"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("1.1Ki", "1126400m"),
            ("0.0005Ki", "512m"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("10e3", "10e3"),
            ("100e1", "1e3"),
            ("1e-3", "1e-3"),
            ("1E", "1E"),
            ("1000E", "1000E"),
            ("1e0", "1"),
            ("0.1n", "1n"),
            ("0.0000000001", "1n"),
            ("1.0000000001", "1000000001n"),
            ("-1.5", "-1500m"),
            ("-2Gi", "-2Gi"),
            ("16Ei", "9223372036854775807"),
            ("9223372036854775807", "9223372036854775807"),
            ("250M", "250M"),
        ] {
            check(text, canonical);
        }
    }

    #[test]
    fn what_is_not_a_quantity_says_which_part_is_wrong() {
        for text in ["", "abc", "1 ", " 1", "1.2.3", "1Mi1x", "1--2", "ä"] {
            assert_eq!(Quantity::parse(text).unwrap_err(), QuantityError::Format, "{text:?}");
        }
        for text in [".", "-.", "Mi", "e3"] {
            assert_eq!(Quantity::parse(text).unwrap_err(), QuantityError::Number, "{text:?}");
        }
        for text in ["1mi", "1K", "1ee3", "1e", "1MiB", "1Mi3"].iter().filter(|text| **text != "1MiB") {
            assert_eq!(Quantity::parse(text).unwrap_err(), QuantityError::Suffix, "{text:?}");
        }
    }

    #[test]
    fn values_are_rounded_away_from_zero() {
        let quantity = |text| Quantity::parse(text).unwrap();
        assert_eq!(quantity("100m").value(), 1);
        assert_eq!(quantity("1001m").value(), 2);
        assert_eq!(quantity("-1500m").value(), -2);
        assert_eq!(quantity("1.5").milli_value(), 1500);
        assert_eq!(quantity("1u").milli_value(), 1);
        assert_eq!(quantity("64Mi").value(), 64 << 20);
        assert_eq!(quantity("1e1000000").value(), i64::MAX);
        assert_eq!(quantity("100E").milli_value(), i64::MAX);
    }

    #[test]
    fn a_sum_keeps_the_format_of_the_first_amount_that_is_not_zero() {
        let sum: Quantity = ["0", "1Gi", "1024Mi"].iter().map(|text| Quantity::parse(text).unwrap()).sum();
        assert_eq!(sum.to_string(), "2Gi");
        let rest = Quantity::parse("1").unwrap() - Quantity::parse("100m").unwrap();
        assert_eq!(rest.to_string(), "900m");
    }

    proptest! {
        #[test]
        fn a_canonical_form_is_its_own(text in "[+-]?[0-9]{0,6}(\\.[0-9]{0,4})?(n|u|m||k|M|G|Ki|Mi|Gi|e[0-9])") {
            if let Ok(quantity) = Quantity::parse(&text) {
                let canonical = quantity.to_string();
                let again = Quantity::parse(&canonical).unwrap();
                prop_assert_eq!(again, quantity);
                prop_assert_eq!(again.to_string(), canonical);
            }
        }
    }
}
