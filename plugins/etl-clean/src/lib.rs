//! The agent `etl-clean`: puts the rows of an order table right, and drops those it cannot put right with the reason. It never
//! guesses a value that is missing, and finds duplicates within one chunk only.

mod names;
mod order;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use kennel_sdk::prelude::*;
use tabular::chunk::{Account, Chunk};

use crate::order::{Columns, Order};

/// The skill `clean-rows`.
pub struct CleanRows;

impl Agent for CleanRows {
    type Input = Chunk;
    type Output = Chunk;
    const SKILL: &'static str = "clean-rows";
    const DESCRIPTION: &'static str =
        "Puts the rows of a chunk of orders right and drops, with reasons, those it cannot.";
    const TAGS: &'static [&'static str] = &["csv", "etl", "cleaning"];

    fn handle(chunk: Chunk, _: &Task) -> Result<Chunk, Error> {
        let columns = Columns::of(&chunk)?;
        let mut account = Account {
            kept: 0,
            ..chunk.account.clone()
        };
        let mut orders: Vec<Order> = Vec::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for row in chunk.rows()? {
            let order = match Order::read(&row, &columns, &mut account) {
                Ok(order) => order,
                Err(reason) => {
                    account.drop_row(reason);
                    continue;
                }
            };
            match places.entry(order.id().to_owned()) {
                Entry::Vacant(free) => {
                    free.insert(orders.len());
                    orders.push(order);
                }
                Entry::Occupied(seen) if orders[*seen.get()] == order => account.duplicates += 1,
                Entry::Occupied(_) => account.drop_row("conflicting-order-id"),
            }
        }
        account.kept = orders.len() as u64;
        let rows = orders.into_iter().map(Order::into_fields);
        chunk.with_rows(&order::HEADER, rows, account)
    }
}

kennel_sdk::export!(CleanRows);

#[cfg(test)]
mod tests;
