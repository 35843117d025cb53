//! What stands out among the outliers, as sentences.

use tabular::number::readable;

use crate::{Outlier, Output, Run};

/// A run of so many is told as one.
const RUN: usize = 3;

pub(crate) fn findings(measure: &str, output: &Output) -> Vec<String> {
    let values = readable(output.values as f64);
    let mut findings = vec![match output.found {
        0 => format!(
            "None of {values} values of {measure} in {} groups is an outlier.",
            output.groups
        ),
        n => format!(
            "{n} of {values} values of {measure} are outliers, in {} of {} groups.",
            output.by_group.len(),
            output.groups
        ),
    }];
    let long: Vec<&Run> = output.runs.iter().filter(|run| run.length >= RUN).collect();
    findings.extend(long.iter().take(3).map(|run| {
        format!(
            "{} lies {} what is usual there {} times in a row, from {} to {}.",
            name(&run.group),
            if run.below { "below" } else { "above" },
            run.length,
            run.from,
            run.to
        )
    }));
    let alone = output
        .outliers
        .iter()
        .filter(|outlier| !long.iter().any(|run| holds(run, outlier)));
    findings.extend(alone.take(3).map(|outlier| {
        let place = match (&outlier.when, outlier.row) {
            (Some(when), Some(row)) => format!(" on {when} (row {row})"),
            (Some(when), None) => format!(" in {when}"),
            (None, Some(row)) => format!(" in row {row}"),
            (None, None) => String::new(),
        };
        format!(
            "{}{place} has {}, where {} is usual.",
            name(&outlier.group),
            readable(outlier.value),
            readable(outlier.usual)
        )
    }));
    if output.small_groups > 0 {
        findings.push(format!(
            "{} groups have too few values, or too equal ones, to say what is usual.",
            output.small_groups
        ));
    }
    if output.unusable > 0 {
        findings.push(format!(
            "{} rows have no date or no number and are left out.",
            output.unusable
        ));
    }
    findings
}

fn name(group: &str) -> &str {
    if group.is_empty() { "The data" } else { group }
}

/// Names of days and periods of one length sort like the days themselves.
fn holds(run: &Run, outlier: &Outlier) -> bool {
    let when = outlier.when.as_deref().unwrap_or_default();
    run.group == outlier.group
        && run.below == (outlier.distance < 0.0)
        && (run.from.as_str()..=run.to.as_str()).contains(&when)
}
