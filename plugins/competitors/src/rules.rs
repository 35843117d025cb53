//! What kinds of moves there are, and the patterns by which they are known. Within a kind, the first pattern that matches counts.

use kennel_sdk::prelude::*;

/// A kind of move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MoveKind {
    /// Something new can be had.
    Launch,
    /// One company buys or joins another.
    Acquisition,
    /// Companies work together.
    Partnership,
    /// Prices go up or down.
    PriceChange,
    /// Money is raised.
    Funding,
    /// People are taken on.
    Hiring,
    /// People are let go.
    Layoff,
    /// Courts, authorities and their means.
    Legal,
}

/// See the grammar for how to read them.
pub(crate) const RULES: &[(MoveKind, &[&str])] = &[
    (
        MoveKind::Launch,
        &[
            "WHO ..4 launch|unveil|introduce|release|debut",
            "WHO ..4 roll|=rolled =out",
            "WHO ..4 bring ..5 =to =market",
        ],
    ),
    (
        MoveKind::Acquisition,
        &[
            "WHO ..4 acquire|buy|=bought|purchase",
            "WHO ..4 take|=took|=taken|=taking =over",
            "WHO ..4 merge =with",
            "acquire|=bought|=taken|purchase ..1 =by WHO",
            "acquire|buy|=bought|purchase ..2 WHOM",
            "acquisition|takeover|purchase =of WHOM",
            "WHOM ..2 =be|=been|=being|=was|=is =sold",
        ],
    ),
    (
        MoveKind::Partnership,
        &[
            "WHO ..4 partner =with",
            "WHO ..4 team|=teaming =up",
            "WHO ..4 join =forces",
            "WHO ..4 sign|announce|form|enter|agree ..4 partnership|alliance|cooperation",
            "partner|partnership|alliance|=up|=forces ..2 =with WHO",
        ],
    ),
    (
        MoveKind::PriceChange,
        &[
            "WHO ..4 cut|slash|lower|reduce|drop|halve|raise|increase|hike|double ..5 price|fee|rate|tariff",
            "price|fee ..1 =of|=at WHO ..3 fall|=fell|drop|rise|=rose|increase",
        ],
    ),
    (
        MoveKind::Funding,
        &[
            "WHO ..3 raise|secure|close|receive|land ..2 MONEY",
            "WHO ..3 raise|secure|close|receive|land ..5 =funding|=financing|loan",
        ],
    ),
    (MoveKind::Hiring, &["WHO ..4 hire|recruit|appoint"]),
    (
        MoveKind::Layoff,
        &[
            "WHO ..4 lay|=laid =off",
            "WHO ..4 cut|eliminate|shed|axe ..4 job|position|=staff|workforce",
            "WHO ..4 fire|dismiss ..3 employee|worker|=staff",
            "=layoffs|=redundancies =at WHO",
        ],
    ),
    (
        MoveKind::Legal,
        &[
            "WHO ..4 sue|=settles|=settled",
            "WHO ..4 file ..3 lawsuit|suit|complaint",
            "sue|fine|accuse ..1 WHOM",
            "lawsuit|suit|complaint|case|charge|claim ..2 =against WHOM",
            "investigation|inquiry|probe ..1 =into|=of|=against WHOM",
            "fine|penalty =for WHOM",
        ],
    ),
];

/// Words near a move that take it back.
pub(crate) const DENYING: &[&str] = &[
    "denied", "denies", "deny", "denying", "never", "no", "not", "neither", "nor", "refused",
    "refuses", "rejected", "rejects",
];

/// Words near a move that put it into the future, or make it a possibility.
pub(crate) const PLANNING: &[&str] = &[
    "aims",
    "consider",
    "considering",
    "considers",
    "could",
    "expected",
    "intends",
    "likely",
    "may",
    "might",
    "planned",
    "planning",
    "plans",
    "reportedly",
    "set",
    "shall",
    "wants",
    "will",
    "would",
];
