//! What the agents of the two market systems read and keep alike. A library and no agent: it analyses nothing.

mod article;
mod once;
mod sentences;
mod symbol;
mod table;
mod time;

pub use article::Article;
pub use once::{Handled, once};
pub use sentences::{Sentence, sentences};
pub use symbol::check_symbol;
pub use table::Table;
pub use time::Time;

/// `number` to that many places, so that answers do not differ by the order of additions. Never `-0`.
pub fn rounded(number: f64, places: i32) -> f64 {
    let scale = 10_f64.powi(places);
    let rounded = (number * scale).round() / scale;
    if rounded == 0.0 { 0.0 } else { rounded }
}

/// `number` to that many significant digits, for values of unknown size such as slopes and p-values.
pub fn significant(number: f64, digits: usize) -> f64 {
    // By way of decimal digits, because powers of ten are no exact floats. What is no number stays as it is.
    let decimal = format!("{number:.*e}", digits.saturating_sub(1));
    decimal.parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_the_digits_that_were_asked_for() {
        assert_eq!(rounded(1.00005, 4), 1.0001);
        assert!(rounded(-0.00001, 4).is_sign_positive());
        assert_eq!(significant(1.234567e-20, 4), 1.235e-20);
        assert_eq!(significant(-98765.0, 3), -98800.0);
        assert_eq!(significant(0.0, 3), 0.0);
        assert_eq!(significant(1.171_550_292_177e-56, 10).to_string().len(), 67);
        assert!(significant(f64::NAN, 3).is_nan() && significant(f64::INFINITY, 3).is_infinite());
    }
}
