//! Questions and what is understood of them, as a table.

use kennel_sdk::Content;

use super::*;

/// Two years of months in two regions, and a column whose values have two words.
fn profile() -> Profile {
    let mut csv = "sale_id,date,region,product,units,revenue\n".to_owned();
    for month in 0..24 {
        let (year, part) = (2025 + month / 12, month % 12 + 1);
        for (at, region) in ["North", "South"].iter().enumerate() {
            for day in [1, 28] {
                let product = ["Heat pump", "Lamp"][(month + at) % 2];
                let revenue = 100 + if month == 9 { 500 } else { month };
                csv.push_str(&format!(
                    "S{month}{at}{day},{year}-{part:02}-{day:02},{region},{product},{},{revenue}\n",
                    month + 1
                ));
            }
        }
    }
    Profile::of(&Content::Text(csv)).unwrap()
}

/// Intent, measure, then whatever else was understood.
fn read(text: &str) -> String {
    let question = Question::read(text, &profile()).unwrap();
    let mut out = format!(
        "{:?} {}",
        question.intent,
        question.how.words(&question.measure)
    );
    if !question.by.is_empty() {
        out.push_str(&format!(" by {}", question.by.join("+")));
    }
    for (column, value) in &question.filter.equals {
        out.push_str(&format!(" where {column}={value}"));
    }
    if let Some((column, first, second)) = &question.segments {
        out.push_str(&format!(" {column}: {first}/{second}"));
    }
    if let Some((before, after)) = &question.periods {
        out.push_str(&format!(
            " {}→{}",
            before.period().label,
            after.period().label
        ));
    }
    if let Some(during) = &question.during {
        out.push_str(&format!(" in {}", during.period().label));
    }
    if let Some(grain) = question.grain {
        out.push_str(&format!(" per {}", grain.name()));
    }
    if question.horizon > 0 {
        out.push_str(&format!(" ahead {}", question.horizon));
    }
    out
}

#[test]
fn questions_are_understood_as_they_are_meant() {
    for (question, understood) in [
        (
            "Why did revenue fall in the second quarter of 2026?",
            "Why revenue 2026-Q1→2026-Q2",
        ),
        (
            "What drove the drop in turnover in Q3 2026 in the North?",
            "Why revenue where region=North 2026-Q2→2026-Q3",
        ),
        (
            "Why did units rise in May 2026 compared to last year?",
            "Why units 2025-05→2026-05",
        ),
        (
            "Revenue fell. What happened?",
            "Why revenue 2025-Q4→2026-Q1",
        ),
        ("Why did revenue grow?", "Why revenue 2025-Q3→2025-Q4"),
        (
            "Why did revenue change in 2026-05?",
            "Why revenue 2026-04→2026-05",
        ),
        ("Which region sold the most units?", "Rank units by region"),
        (
            "Top products by revenue in October 2025",
            "Rank revenue by product in 2025-10",
        ),
        (
            "Average revenue by region",
            "Overview mean revenue by region",
        ),
        (
            "What is the trend of monthly revenue?",
            "Trend revenue per month",
        ),
        (
            "Forecast revenue for the next 6 weeks",
            "Forecast revenue per week ahead 6",
        ),
        (
            "What will units be next quarter?",
            "Forecast units per month ahead 3",
        ),
        (
            "Compare North and South",
            "Compare revenue region: North/South",
        ),
        (
            "Compare heat pumps with lamps in the South",
            "Compare revenue where region=South product: Heat pump/Lamp",
        ),
        (
            "Compare revenue of Q1 2025 and Q1 2026",
            "Compare revenue 2025-Q1→2026-Q1",
        ),
        (
            "Difference between 2025 and 2026 in units",
            "Compare units 2025→2026",
        ),
        ("Are there any outliers?", "Outliers revenue"),
        (
            "Why did revenue fall last month?",
            "Why revenue 2026-11→2026-12",
        ),
        ("Heat pump units", "Overview units where product=Heat pump"),
    ] {
        assert_eq!(read(question), understood, "{question}");
    }
}

#[test]
fn what_is_assumed_is_written_down() {
    let assumed = |text: &str| Question::read(text, &profile()).unwrap().assumed.join(" ");
    assert_eq!(
        assumed("Any outliers?"),
        "The question names no column of numbers; revenue is taken."
    );
    assert_eq!(
        assumed("Why did revenue fall in Q2?"),
        "The question names no year; 2026-Q2 is taken."
    );
    assert!(
        assumed("Why did units fall?").contains("the largest fall of units between two quarters")
    );
    assert_eq!(assumed("Why did revenue fall in Q2 2026?"), "");
    let csv = "date,paid\n2025-02-03,1\n2025-12-20,2\n2026-01-05,3\n2026-05-01,4\n";
    let profile = Profile::of(&Content::Text(csv.to_owned())).unwrap();
    let question = Question::read("Difference of paid between 2025 and 2026", &profile).unwrap();
    assert_eq!(
        question.assumed,
        [
            "The data covers 2025 only in part: it has 2025-02-03 to 2026-05-01.",
            "The data covers 2026 only in part: it has 2025-02-03 to 2026-05-01.",
        ]
    );
}

#[test]
fn a_question_that_cannot_be_answered_says_what_can() {
    let error = |text: &str| Question::read(text, &profile()).unwrap_err().to_string();
    for text in ["How is the weather?", "", "???"] {
        let error = error(text);
        assert!(error.contains("numbers: units, revenue; categories: region, product; days: date from 2025-01-01 to 2026-12-28"), "{error}");
    }
    assert!(
        error("Why did revenue fall in Q2 2031?")
            .contains("2031-Q2, and the data covers 2025-01-01 to 2026-12-28")
    );
    assert!(error("Why did revenue fall in Q1 2025?").contains("2024-Q4"));
}

#[test]
fn a_table_without_days_or_numbers_is_refused_where_they_are_needed() {
    let profile =
        Profile::of(&Content::Text("region,paid\nNorth,1\nSouth,2\n".to_owned())).unwrap();
    let error = Question::read("What is the trend of paid?", &profile).unwrap_err();
    assert!(error.message().contains("no column has dates"), "{error}");
    assert!(Question::read("Which region paid most?", &profile).is_ok());
    assert!(Profile::of(&Content::Text("a,b\nx,y\n".to_owned())).is_err());
}
