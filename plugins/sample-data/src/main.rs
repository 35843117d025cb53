//! `sample-data orders ROWS` and `sample-data sales` write a table to standard output.

use std::io::{self, Write};
use std::process::ExitCode;

use sample_data::{orders, sales};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (csv, notes) = match (arguments.as_slice(), arguments.get(1).map(|n| n.parse())) {
        (["orders", _], Some(Ok(rows))) => {
            let orders = orders::generate(rows);
            (orders.csv, format!("{:#?}", orders.expected))
        }
        (["sales"], _) => (sales::generate(), String::new()),
        _ => {
            eprintln!("usage: sample-data orders ROWS > FILE\n       sample-data sales > FILE");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = io::stdout().lock().write_all(csv.as_bytes()) {
        eprintln!("cannot write the table: {error}");
        return ExitCode::FAILURE;
    }
    if !notes.is_empty() {
        eprintln!("{notes}");
    }
    ExitCode::SUCCESS
}
