//! The report: headline, chart, findings of each worker, and what to be careful about. What workers say is text of others: it is
//! escaped, and an output that does not look as expected costs only its own part of the report.

use tabular::markdown::{plain, sentence};
use tabular::number::readable;

use crate::chart::{self, Point};
use crate::profile::Profile;
use crate::question::{Intent, Question};
use crate::told::{Aggregated, Compared, Series, findings, view};
use crate::{Done, Report};

/// More findings of one worker than this bury the others.
const MOST_FINDINGS: usize = 8;

/// Writes the report.
pub(crate) fn write(done: &Done, profile: &Profile, question: &Question) -> Report {
    let headline = headline(done, question);
    let chart = draw(done, question);
    let mut report = format!(
        "# {}\n\n**{}**\n\n",
        sentence(&question.text),
        sentence(&headline)
    );
    if !chart.is_empty() {
        report.push_str(&chart);
        report.push('\n');
    }
    for answer in &done.results {
        report.push_str(&format!("## {}\n\n", section(&answer.agent_type)));
        let findings = findings(answer);
        if findings.is_empty() {
            report.push_str("Nothing was found.\n");
        }
        for finding in findings.iter().take(MOST_FINDINGS) {
            report.push_str(&format!("- {}\n", sentence(&capital(finding))));
        }
        report.push('\n');
    }
    report.push_str("## To be careful about\n\n");
    for caveat in caveats(done, profile, question) {
        report.push_str(&format!("- {}\n", sentence(&caveat)));
    }
    Report {
        headline,
        report,
        chart,
    }
}

fn section(agent_type: &str) -> String {
    match agent_type {
        "compare" => "What makes the difference".to_owned(),
        "timeseries" => "Over time".to_owned(),
        "aggregate" => "By group".to_owned(),
        "anomalies" => "What is unusual".to_owned(),
        other => plain(other),
    }
}

/// The answer in a sentence or two, from the worker that the question is most for.
fn headline(done: &Done, question: &Question) -> String {
    let first = |kind: &str, n: usize| {
        let answer = done
            .results
            .iter()
            .find(|answer| answer.agent_type == kind)?;
        let findings = findings(answer);
        (!findings.is_empty()).then(|| findings[..findings.len().min(n)].join(" "))
    };
    let answer = match question.intent {
        Intent::Why | Intent::Compare => first("compare", 2),
        Intent::Forecast => view(done, "timeseries").and_then(|series| forecast(&series, question)),
        Intent::Trend => view(done, "timeseries").and_then(|series| trend(&series, question)),
        Intent::Outliers => first("anomalies", 2),
        Intent::Rank | Intent::Overview => first("aggregate", 1),
    };
    answer.map(|answer| capital(&answer)).unwrap_or_else(|| {
        let other = done
            .results
            .iter()
            .find_map(|answer| findings(answer).into_iter().next());
        match other {
            Some(other) => format!("The question itself is not answered, but: {other}"),
            None => "The question is not answered: no worker found anything.".to_owned(),
        }
    })
}

/// A sentence may start with the name of a column.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

fn forecast(series: &Series, question: &Question) -> Option<String> {
    let next = &series.forecast.as_ref()?.points;
    let points: Vec<String> = next
        .iter()
        .take(6)
        .map(|next| {
            format!(
                "{} in {} ({} to {})",
                readable(next.value),
                next.period,
                readable(next.low),
                readable(next.high)
            )
        })
        .collect();
    (!points.is_empty()).then(|| {
        format!(
            "{} is forecast to be {}.",
            question.how.words(&question.measure),
            points.join(", ")
        )
    })
}

fn trend(series: &Series, question: &Question) -> Option<String> {
    let trend = series.trend.as_ref()?;
    let what = question.how.words(&question.measure);
    Some(match trend.p_value <= 0.05 {
        true => format!(
            "Over {} {}s {what} {} by {} with each {} as a straight line.",
            series.points.len(),
            series.grain,
            if trend.slope < 0.0 { "falls" } else { "rises" },
            readable(trend.slope.abs()),
            series.grain
        ),
        false => format!(
            "Over {} {}s {what} has no clear straight trend.",
            series.points.len(),
            series.grain
        ),
    })
}

/// A line over time where the question is about time, else bars; empty where there is nothing to draw.
fn draw(done: &Done, question: &Question) -> String {
    let what = question.how.words(&question.measure);
    let line = || view::<Series>(done, "timeseries").map(|series| lines(&series, question, &what));
    let groups = || {
        let view: Aggregated = view(done, "aggregate")?;
        let first = view.tables.into_iter().next()?;
        let bars: Vec<(String, f64)> = first
            .groups
            .into_iter()
            .map(|group| (group.group, group.value))
            .collect();
        Some(chart::bars(&format!("{what} by {}", first.by), &bars))
    };
    let parts = || {
        let view: Compared = view(done, "compare")?;
        let parts = view.joint.or(view.parts.into_iter().next())?.parts;
        let bars: Vec<(String, f64)> = parts
            .into_iter()
            .map(|part| (part.segment.join(" × "), part.change))
            .collect();
        Some(chart::bars(&format!("change of {what}"), &bars))
    };
    let drawn = match question.intent {
        Intent::Rank => groups().or_else(line),
        Intent::Compare => parts().or_else(groups),
        _ => line().or_else(parts).or_else(groups),
    };
    drawn.unwrap_or_default()
}

fn lines(series: &Series, question: &Question, what: &str) -> String {
    let marked = question
        .periods
        .as_ref()
        .map(|(_, after)| after)
        .or(question.during.as_ref());
    let marked = marked.map(|span| span.start.to_string()..=span.end().to_string());
    let known = series.points.iter().map(|point| Point {
        name: point.period.clone(),
        value: point.value,
        range: None,
        // ISO dates sort like the days they name.
        marked: marked
            .as_ref()
            .is_some_and(|days| days.contains(&point.from)),
    });
    let next = series
        .forecast
        .iter()
        .flat_map(|forecast| &forecast.points)
        .map(|next| Point {
            name: next.period.clone(),
            value: next.value,
            range: Some((next.low, next.high)),
            marked: false,
        });
    let points: Vec<Point> = known.chain(next).collect();
    chart::line(&format!("{what} by {}", series.grain), &points)
}

fn caveats(done: &Done, profile: &Profile, question: &Question) -> Vec<String> {
    let mut caveats: Vec<String> = done
        .failures
        .iter()
        .map(|failure| {
            format!(
                "The part {} is missing: its worker failed ({}: {}).",
                section(&failure.agent_type),
                failure.kind,
                failure.message
            )
        })
        .collect();
    caveats.extend(question.assumed.iter().cloned());
    if !question.filter.equals.is_empty() {
        let equals: Vec<String> = question
            .filter
            .equals
            .iter()
            .map(|(column, value)| format!("{column} {value}"))
            .collect();
        caveats.push(format!("Only rows with {} count.", equals.join(" and ")));
    }
    if profile.ragged > 0 {
        caveats.push(format!(
            "{} rows have more or fewer fields than the header and are left out.",
            profile.ragged
        ));
    }
    caveats.push("The numbers say where something happened, not what caused it.".to_owned());
    caveats
}
