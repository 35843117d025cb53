//! What stands out in a comparison, as sentences.

use tabular::number::{percent, readable};

use crate::decompose::{Decomposition, Part};
use crate::{Output, Test};

/// A part below this share is not worth a sentence.
const WORTH_NAMING: f64 = 0.1;

/// A difference that chance makes more often than this may be chance.
const SIGNIFICANT: f64 = 0.05;

pub(crate) fn findings(measure: &str, output: &Output) -> Vec<String> {
    let mut findings = vec![change(measure, output)];
    if let Some(part) = output.joint.as_ref().and_then(|joint| joint.parts.first()) {
        findings.extend(joint(measure, output, part));
    }
    findings.extend(output.parts.iter().filter_map(column));
    findings.extend(output.test.as_ref().map(tested));
    if output.unusable > 0 {
        findings.push(format!(
            "{} rows have no date or no number and are left out.",
            output.unusable
        ));
    }
    findings
}

fn change(measure: &str, output: &Output) -> String {
    let (before, after) = (&output.before, &output.after);
    let verb = match output.change {
        change if change < 0.0 => "lower",
        change if change > 0.0 => "higher",
        _ => "no different",
    };
    let by = match (output.change, output.change_share) {
        (0.0, _) => String::new(),
        (change, Some(share)) => format!(" by {} ({})", readable(change.abs()), percent(share)),
        (change, None) => format!(" by {}", readable(change.abs())),
    };
    format!(
        "{measure} is {verb}{by} in {} than in {}: {} against {}.",
        after.label,
        before.label,
        readable(after.total),
        readable(before.total)
    )
}

/// What the change would have been without the one segment that makes most of it.
fn joint(measure: &str, output: &Output, part: &Part) -> Option<String> {
    let share = part.share.filter(|&share| share >= WORTH_NAMING)?;
    let rest_before = output.before.total - part.before;
    let rest = output.change - part.change;
    let without = match rest_before > 0.0 {
        true => format!(
            "; without it {measure} would have changed by {}",
            percent(rest / rest_before)
        ),
        false => String::new(),
    };
    Some(format!(
        "{} alone accounts for {} of the change, from {} to {}{without}.",
        part.segment.join(" × "),
        percent(share),
        readable(part.before),
        readable(part.after)
    ))
}

fn column(decomposition: &Decomposition) -> Option<String> {
    let parts: Vec<String> = decomposition
        .parts
        .iter()
        .filter(|part| part.share.is_some_and(|share| share >= WORTH_NAMING))
        .take(3)
        .map(|part| {
            format!(
                "{} ({} of the change, from {} to {})",
                part.segment.join(" × "),
                percent(part.share.unwrap_or_default()),
                readable(part.before),
                readable(part.after)
            )
        })
        .collect();
    let by = decomposition.by.join(" and ");
    (!parts.is_empty()).then(|| format!("By {by} it is mostly {}.", parts.join(", ")))
}

fn tested(test: &Test) -> String {
    let verdict = match test.p_value <= SIGNIFICANT {
        true => "more than chance",
        false => "no more than chance may make it",
    };
    let p = match test.p_value < 0.001 {
        true => "p < 0.001".to_owned(),
        false => format!("p = {:.3}", test.p_value),
    };
    format!(
        "The difference between the {} of both sides is {verdict} (Welch's t = {:.2}, {p}).",
        test.of, test.t
    )
}
