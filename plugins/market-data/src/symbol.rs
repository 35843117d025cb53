//! Symbols: what a price is the price of. They become keys of state and parts of settings.

use kennel_sdk::Error;

const MAX_LENGTH: usize = 64;

/// Refuses a symbol that is empty, long, or has other characters than letters, digits and `. - _ :`.
pub fn check_symbol(symbol: &str) -> Result<(), Error> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if !symbol.is_empty() && symbol.len() <= MAX_LENGTH && symbol.chars().all(is_plain) {
        return Ok(());
    }
    let shown: String = symbol.chars().take(MAX_LENGTH).collect();
    Err(Error::invalid_input(format_args!(
        "input.symbol is {shown:?}; it must have 1 to {MAX_LENGTH} letters, digits or . - _ :"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_is_short_and_plain() {
        assert!(
            ["A", "BRKW", "earbuds:BWS.X_1-2", &"x".repeat(64)]
                .iter()
                .all(|s| check_symbol(s).is_ok())
        );
        assert!(
            ["", "a b", "a/b", "ä", "\n", &"x".repeat(65)]
                .iter()
                .all(|s| check_symbol(s).is_err())
        );
    }
}
