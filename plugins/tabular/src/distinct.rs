//! How many different values there were, without keeping them: HyperLogLog with 2 048 registers, relative standard error
//! 1.04 / √2048 = 2.3 %. Two of them merge into what one would have been that had seen everything.
//!
//! Source: P. Flajolet, É. Fusy, O. Gandouet, F. Meunier, "HyperLogLog: the analysis of a near-optimal cardinality estimation
//! algorithm", AofA 2007, figure 3, with its linear counting for small numbers; hashes have 64 bits, so its correction for large ones
//! is not needed.

use std::hash::Hasher;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};
use siphasher::sip::SipHasher13;

const BITS: u32 = 11;
const REGISTERS: usize = 1 << BITS;

/// In JSON a register is a letter from this one on. 54 is the most that a register can hold, and of the letters up to there only `\`
/// would need an escape, so it is stepped over.
const ZERO: u8 = b'(';

/// An estimate of a number of distinct values that can be merged with others. In JSON it is a string of 2 048 letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distinct(Vec<u8>);

impl Default for Distinct {
    fn default() -> Self {
        Self(vec![0; REGISTERS])
    }
}

impl Distinct {
    /// Counts a value; one that was seen before changes nothing.
    pub fn add(&mut self, value: &str) {
        let mut hasher = SipHasher13::new();
        hasher.write(value.as_bytes());
        let hash = hasher.finish();
        let register = (hash >> (64 - BITS)) as usize;
        let rank = ((hash << BITS) | (1 << (BITS - 1))).leading_zeros() as u8 + 1;
        self.0[register] = self.0[register].max(rank);
    }

    /// As if this one had also seen what `other` has.
    pub fn merge(&mut self, other: &Self) {
        for (mine, &theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = (*mine).max(theirs);
        }
    }

    /// How many distinct values there were, about.
    pub fn estimate(&self) -> u64 {
        let m = REGISTERS as f64;
        let alpha = 0.7213 / (1.0 + 1.079 / m);
        let sum: f64 = self
            .0
            .iter()
            .map(|&rank| 0.5f64.powi(i32::from(rank)))
            .sum();
        let raw = alpha * m * m / sum;
        let empty = self.0.iter().filter(|&&rank| rank == 0).count();
        if raw <= 2.5 * m && empty > 0 {
            return (m * (m / empty as f64).ln()).round() as u64;
        }
        raw.round() as u64
    }
}

impl Serialize for Distinct {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let letter = |&rank: &u8| char::from(ZERO + rank + u8::from(ZERO + rank >= b'\\'));
        serializer.serialize_str(&self.0.iter().map(letter).collect::<String>())
    }
}

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let rank = |letter: u8| {
            let rank = letter.checked_sub(ZERO)? - u8::from(letter > b'\\');
            (u32::from(rank) <= 64 - BITS + 1 && letter != b'\\').then_some(rank)
        };
        let registers: Option<Vec<u8>> = text.bytes().map(rank).collect();
        registers
            .filter(|registers| registers.len() == REGISTERS)
            .map(Self)
            .ok_or_else(|| D::Error::custom("expected the 2048 registers of a distinct count"))
    }
}

impl JsonSchema for Distinct {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Distinct".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A mergeable estimate of a number of distinct values.",
            "type": "string",
            "minLength": REGISTERS,
            "maxLength": REGISTERS
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_sdk::serde_json;

    fn of(values: impl Iterator<Item = u32>) -> Distinct {
        let mut distinct = Distinct::default();
        values.for_each(|value| distinct.add(&format!("C-{value}")));
        distinct
    }

    #[test]
    fn the_estimate_is_within_four_standard_errors_at_every_size() {
        for n in [0u32, 1, 10, 100, 1000, 5000, 6000, 20_000, 200_000] {
            let estimate = of(0..n).estimate() as f64;
            assert!(
                (estimate - f64::from(n)).abs() <= f64::from(n) * 0.092,
                "{n}: {estimate}"
            );
        }
    }

    #[test]
    fn merging_is_seeing_everything_and_repetition_is_nothing() {
        let mut left = of(0..3000);
        left.merge(&of(2000..5000));
        assert_eq!(left, of((0..5000).chain(0..5000)));
    }

    #[test]
    fn it_travels_as_json_and_nothing_else_is_taken_for_it() {
        let mut distinct = of(0..5000);
        // The highest rank there is, and the one whose letter would be the backslash.
        (distinct.0[0], distinct.0[1], distinct.0[2]) = (54, 52, 53);
        let json = serde_json::to_string(&distinct).unwrap();
        assert_eq!(json.len(), REGISTERS + 2, "no letter needs an escape");
        assert_eq!(serde_json::from_str::<Distinct>(&json).unwrap(), distinct);
        for bad in [
            String::new(),
            "(".repeat(REGISTERS - 1),
            "~".repeat(REGISTERS),
            "\\".repeat(REGISTERS),
        ] {
            assert!(serde_json::from_value::<Distinct>(bad.into()).is_err());
        }
    }
}
