//! The keys of a flow file: one table for the parser, which refuses every other key, and for the schema, which editors read.

/// A key, what it is for, and what stands there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) shape: Shape,
    pub(super) required: bool,
}

/// What stands at a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// The number of the format.
    Version,
    /// Any text.
    Text,
    /// The name of an agent, a skill, a step or a policy.
    Name,
    /// `30s`.
    Span,
    /// `64MiB`.
    Bytes,
    /// `5G`.
    Fuel,
    /// True or false.
    Bool,
    /// A whole number between two others.
    Whole(u32, u32),
    /// A number between two others.
    Fraction(f64, f64),
    /// A condition, with or without `${{ }}`.
    Condition,
    /// Any value, with `${{ }}` in its texts.
    Template,
    /// A JSON Schema.
    Schema,
    /// `all`, `any` or a number.
    Require,
    /// Failure kinds.
    Kinds,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A step.
    Step,
    /// Steps.
    Steps,
    /// Steps of a pipeline.
    Stages,
    /// Steps with conditions.
    Arms,
    /// Steps by event type.
    Handlers,
    /// An agent, with or without policies.
    Callee,
    /// Agents by type.
    Workers,
    /// Agents to ask instead.
    Fallbacks,
    /// Named sets of policies.
    Policies,
    /// A map with these keys.
    Map(&'static [Key]),
}

const fn key(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key {
        name,
        about,
        shape,
        required: false,
    }
}

const fn required(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key {
        name,
        about,
        shape,
        required: true,
    }
}

pub(super) const FLOW: &[Key] = &[
    required("kennel", Shape::Version, "The version of the format: 1."),
    key(
        "name",
        Shape::Text,
        "The flow's name; the file's name when absent.",
    ),
    key("description", Shape::Text, "What the flow is for."),
    key(
        "input",
        Shape::Schema,
        "JSON Schema of the run's input; it is checked before anything runs.",
    ),
    key(
        "on",
        Shape::Handlers,
        "For an event-driven flow instead of a step: from the type of an event to the step that it starts.",
    ),
    key(
        "policies",
        Shape::Policies,
        "Named sets of policies; a step takes one with `policy`.",
    ),
    key(
        "output",
        Shape::Template,
        "The run's output; that of the outermost step when absent.",
    ),
    key("budget", Shape::Map(BUDGET), "What a whole run may spend."),
    PRIORITY,
];

pub(super) const COMMON: &[Key] = &[
    key(
        "id",
        Shape::Name,
        "Unique in the flow. The agent's name when absent, or the kind and a number.",
    ),
    WITH,
    key(
        "if",
        Shape::Condition,
        "The step is skipped when this is false.",
    ),
    key(
        "output",
        Shape::Template,
        "What the step gives instead of what it got, which is `prev` here.",
    ),
    key(
        "on-error",
        Shape::OneOf(&["fail", "continue"]),
        "What a failure means: `fail` (the default), or `continue` with null or what `output` makes of `error`.",
    ),
];

/// The one common key that the outermost step may have too.
pub(super) const WITH: Key = key(
    "with",
    Shape::Template,
    "What the step gets, instead of the output of the step before.",
);

pub(super) const AGENT: &[Key] = &[
    required("agent", Shape::Name, "The agent to call."),
    key(
        "skill",
        Shape::Name,
        "What it is asked for; needed when it has several skills.",
    ),
    key(
        "policy",
        Shape::Name,
        "A named set of policies; keys of the step itself win.",
    ),
];

pub(super) const SKILL: &[Key] = &[
    required(
        "skill",
        Shape::Name,
        "What is asked for, of whichever healthy agent has the skill and the least to do.",
    ),
    AGENT[2],
];

pub(super) const SEQUENTIAL: &[Key] = &[required(
    "sequential",
    Shape::Steps,
    "Steps, one after the other; each gets the output of the one before.",
)];

pub(super) const PARALLEL: &[Key] = &[
    required(
        "parallel",
        Shape::Steps,
        "Steps, all at once with the same input; the output is a map from id to output.",
    ),
    key(
        "require",
        Shape::Require,
        "How many must succeed: `all` (the default), `any` or a number.",
    ),
    CONCURRENCY,
];

const CONCURRENCY: Key = key(
    "concurrency",
    Shape::Whole(1, 10_000),
    "How many run at the same time.",
);

pub(super) const HIERARCHICAL: &[Key] = &[required(
    "hierarchical",
    Shape::Map(HIERARCHY),
    "A master plans subtasks, workers do them, the master puts the results together.",
)];

pub(super) const HIERARCHY: &[Key] = &[
    required(
        "master",
        Shape::Callee,
        "The agent that plans (skill `plan`) and puts together (skill `synthesize`).",
    ),
    required(
        "workers",
        Shape::Workers,
        "A map from agent type to agent, or `by-skill`.",
    ),
    key(
        "max-subtasks",
        Shape::Whole(1, 1_000),
        "The most subtasks; 16 when absent.",
    ),
    CONCURRENCY,
];

pub(super) const PIPELINE: &[Key] = &[required(
    "pipeline",
    Shape::Stages,
    "Stages, one after the other; items stream through those with `each`.",
)];

/// What a step of a `pipeline` may say besides.
pub(super) const STAGE: &[Key] = &[
    key(
        "each",
        Shape::Bool,
        "Whether the stage is done once for each item of a list.",
    ),
    key(
        "pages",
        Shape::Bool,
        "Whether the stage is asked again, with `cursor`, as long as its answer has a `next`; the `items` of all answers stream on.",
    ),
    key(
        "concurrency",
        Shape::Whole(1, 10_000),
        "Items in the stage at the same time; 8 when absent.",
    ),
    key(
        "on-item-error",
        Shape::OneOf(&["fail", "drop"]),
        "What the failure of an item means: `fail` (the default) or `drop`.",
    ),
];

pub(super) const ROUTE: &[Key] = &[required(
    "route",
    Shape::Arms,
    "Steps with `if`, and a last `else`; the first that fits runs.",
)];

/// The last arm of a `route`, when it is not a step with `if`.
pub(super) const OTHERWISE: &[Key] = &[required(
    "else",
    Shape::Step,
    "The step that runs when no condition holds.",
)];

pub(super) const REPEAT: &[Key] = &[required(
    "repeat",
    Shape::Map(ROUNDS),
    "A step again and again; each round gets the output of the one before.",
)];

pub(super) const ROUNDS: &[Key] = &[
    required("do", Shape::Step, "One round."),
    key(
        "until",
        Shape::Condition,
        "Whether the round, whose output is `prev`, was the last.",
    ),
    required("max", Shape::Whole(1, 1_000), "The most rounds."),
];

pub(super) const SUB_FLOW: &[Key] = &[required(
    "flow",
    Shape::Text,
    "Another flow file, relative to this one.",
)];

pub(super) const EMIT: &[Key] = &[required(
    "emit",
    Shape::Name,
    "The type of the event; `with` is its data.",
)];

pub(super) const APPROVE: &[Key] = &[
    required("approve", Shape::Text, "What a person is asked."),
    key(
        "timeout",
        Shape::Span,
        "How long to wait for the answer; for ever when absent.",
    ),
    key(
        "default",
        Shape::OneOf(&["approve", "deny"]),
        "The answer when nobody has given one in time; the step fails then when absent.",
    ),
];

/// What the step of an event may say besides.
pub(super) const HANDLER: &[Key] = &[key(
    "every",
    Shape::Span,
    "The host makes such an event itself this often.",
)];

pub(super) const POLICY: &[Key] = &[
    TIMEOUT,
    RETRY_KEY,
    key(
        "fallback",
        Shape::Fallbacks,
        "Agents to ask, in order, when this one has failed for good.",
    ),
    CACHE_KEY,
    key(
        "limits",
        Shape::Map(LIMITS),
        "Bounds below the agent's own.",
    ),
    DEADLINE,
    BREAKER_KEY,
    key(
        "degrade",
        Shape::Map(DEGRADE),
        "Asks another agent while the host is busy, or when the run's budget is used up.",
    ),
    BATCH_KEY,
    PRIORITY,
];

const TIMEOUT: Key = key("timeout", Shape::Span, "Bounds one attempt.");
const RETRY_KEY: Key = key("retry", Shape::Map(RETRY), "Tries again.");
const CACHE_KEY: Key = key("cache", Shape::Map(CACHE), "Answers from earlier answers.");

const DEADLINE: Key = key(
    "deadline",
    Shape::Span,
    "Bounds the whole step: every attempt, every wait and every fallback together.",
);
const BREAKER_KEY: Key = key(
    "circuit-breaker",
    Shape::Map(BREAKER),
    "Stops asking an agent that keeps failing; all runs share what is known of it.",
);
const BATCH_KEY: Key = key(
    "batch",
    Shape::Map(BATCH),
    "Gathers calls into one, for agents that take several at once.",
);
const PRIORITY: Key = key(
    "priority",
    Shape::OneOf(&["critical", "high", "normal", "low", "background"]),
    "Who goes first when slots are short; `normal` when absent.",
);

pub(super) const FALLBACK: &[Key] = &[
    required("agent", Shape::Name, "The agent to call."),
    key(
        "skill",
        Shape::Name,
        "What it is asked for; needed when it has several skills.",
    ),
    WITH,
    TIMEOUT,
    RETRY_KEY,
    CACHE_KEY,
    DEADLINE,
    BREAKER_KEY,
    BATCH_KEY,
    PRIORITY,
];

pub(super) const RETRY: &[Key] = &[
    key(
        "attempts",
        Shape::Whole(1, 100),
        "Tries in all, the first included; 3 when absent.",
    ),
    key(
        "backoff",
        Shape::Span,
        "The longest wait before the second try; 100ms when absent.",
    ),
    key(
        "factor",
        Shape::Fraction(1.0, 100.0),
        "How much longer each further wait is; 2 when absent.",
    ),
    key(
        "max-backoff",
        Shape::Span,
        "No wait is longer; 30s when absent.",
    ),
    key(
        "jitter",
        Shape::Bool,
        "Whether waits are drawn at random below their bound; true when absent.",
    ),
    key(
        "on",
        Shape::Kinds,
        "The failures to try again; recoverable ones, timeouts and overload when absent.",
    ),
];

pub(super) const CACHE: &[Key] = &[
    required("ttl", Shape::Span, "The age at which an answer is too old."),
    key(
        "key",
        Shape::Template,
        "What identifies the request, instead of its whole input.",
    ),
];

pub(super) const LIMITS: &[Key] = &[
    key(
        "memory",
        Shape::Bytes,
        "Bytes over all memories and tables of one task.",
    ),
    key("fuel", Shape::Fuel, "Units of Wasm work of one task."),
];

pub(super) const BREAKER: &[Key] = &[
    key(
        "failures",
        Shape::Whole(1, 1_000),
        "Failures in a row that open it; 5 when absent.",
    ),
    key(
        "open-for",
        Shape::Span,
        "How long the agent is not asked then; 30s when absent.",
    ),
    key(
        "half-open-calls",
        Shape::Whole(1, 100),
        "Calls that try the agent at the same time afterwards; 1 when absent.",
    ),
];

pub(super) const DEGRADE: &[Key] = &[
    key(
        "above",
        Shape::Fraction(0.0, 100.0),
        "The load above which the other agent is asked: 0 is idle, 1 is full, more is a queue; 0.8 when absent.",
    ),
    required("to", Shape::Name, "The agent to ask then."),
    key(
        "skill",
        Shape::Name,
        "What it is asked for; needed when it has several skills.",
    ),
];

pub(super) const BATCH: &[Key] = &[
    required("size", Shape::Whole(2, 1_000), "The most calls in one."),
    key(
        "wait",
        Shape::Span,
        "How long the first call waits for others; 10ms when absent.",
    ),
];

pub(super) const BUDGET: &[Key] = &[
    key("fuel", Shape::Fuel, "Fuel, that of nested calls included."),
    key("wall", Shape::Span, "Wall time from the run's acceptance."),
    key("calls", Shape::Whole(1, 1_000_000), "Attempts."),
    key(
        "on-exceeded",
        Shape::OneOf(&["stop", "degrade"]),
        "What happens beyond it: `stop` (the default), or `degrade`, which asks the cheaper agents of steps that have one.",
    ),
];

/// The kinds of steps, each with the keys that only it has.
pub(super) const KINDS: &[(&str, &[&[Key]])] = &[
    ("agent", &[AGENT, POLICY]),
    ("skill", &[SKILL, POLICY]),
    ("sequential", &[SEQUENTIAL]),
    ("parallel", &[PARALLEL]),
    ("hierarchical", &[HIERARCHICAL]),
    ("pipeline", &[PIPELINE]),
    ("route", &[ROUTE]),
    ("repeat", &[REPEAT]),
    ("flow", &[SUB_FLOW]),
    ("emit", &[EMIT]),
    ("approve", &[APPROVE]),
];

/// The keys that say what a step does.
pub(super) const KIND_KEYS: &[Key] = &[
    AGENT[0],
    SKILL[0],
    SEQUENTIAL[0],
    PARALLEL[0],
    HIERARCHICAL[0],
    PIPELINE[0],
    ROUTE[0],
    REPEAT[0],
    SUB_FLOW[0],
    EMIT[0],
    APPROVE[0],
];

/// Keys of the whole format that this version leaves out.
pub(super) const UNSUPPORTED: &[&str] = &["tokens"];
