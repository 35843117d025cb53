//! Verdicts on imports: for each interface that a component asks for, whether it may have it, why, and what would change that.
//!
//! It knows names only. Whether the component and the host agree on an interface's functions is for the linker to find out.

use super::Grants;
use crate::id::AgentName;

/// Whether a component may import an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may; the text says why.
    Allowed(&'static str),
    /// It may not.
    Refused(Refusal),
}

/// An import that a component may not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The interface as the component names it.
    pub import: String,
    /// Why not, as the end of a sentence that begins with the import.
    pub reason: String,
    /// The lines that would allow it, with the file that they belong to; empty when nothing would.
    pub lines: Vec<String>,
}

/// Harmless whoever asks: they reach nothing outside the sandbox but the log, the run's own progress and the agent's own settings.
const ALWAYS: &[(&str, &str)] = &[
    ("kennel:agent/types", "types only"),
    ("kennel:agent/progress", "tells whoever follows the run"),
    (
        "kennel:agent/blobs",
        "only blobs of its own input, and those it wrote",
    ),
    ("wasi:logging/logging", "goes to the log"),
    ("wasi:config/store", "its own settings"),
    ("wasi:clocks/", "coarse clocks"),
    ("wasi:random/", "random numbers"),
    ("wasi:io/", "streams of what else it may use"),
    ("wasi:cli/stdin", "always empty"),
    ("wasi:cli/stdout", "goes to the log"),
    ("wasi:cli/stderr", "goes to the log"),
    ("wasi:cli/terminal-", "never a terminal"),
    ("wasi:cli/exit", "ends its own task"),
    ("wasi:cli/environment", "empty but for granted variables"),
    // The C libraries under most languages import these two whether or not a program opens a file, and without a preopened
    // directory no function of theirs can be given a descriptor.
    (
        "wasi:filesystem/",
        "shows only granted directories; none without a grant",
    ),
];

/// A capability behind a grant: how its imports begin, its key, how the grant is written, and whether it is there.
type Gated = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Grants) -> bool,
);

const GATED: &[Gated] = &[
    (
        "wasi:http/types",
        "http",
        "http = [\"https://api.example.com\"]",
        |grants| !grants.http.is_empty(),
    ),
    (
        "wasi:http/outgoing-handler",
        "http",
        "http = [\"https://api.example.com\"]",
        |grants| !grants.http.is_empty(),
    ),
    ("kennel:agent/state", "state", "state = true", |grants| {
        grants.state
    }),
    (
        "kennel:agent/peers",
        "peers",
        "peers = [\"SKILL\"]",
        |grants| !grants.peers.is_empty(),
    ),
    (
        "kennel:agent/events",
        "events",
        "events = [\"TYPE\"]",
        |grants| !grants.events.is_empty(),
    ),
];

/// Part of the agent interface, but not of this version of the host.
const NOT_YET: &[&str] = &["kennel:agent/model"];

/// The verdict on one import of agent `agent`, from its manifest's `needs` (when it has a manifest) and the operator's `grants`.
pub fn verdict(
    import: &str,
    agent: &AgentName,
    needs: Option<&Grants>,
    grants: &Grants,
) -> Verdict {
    let interface = import
        .split_once('@')
        .map_or(import, |(name, _version)| name);
    if let Some((_, why)) = ALWAYS.iter().find(|(name, _)| matches(interface, name)) {
        return Verdict::Allowed(why);
    }
    if let Some((_, key, line, has)) = GATED.iter().find(|(name, ..)| *name == interface) {
        return gated(import, key, line, *has, agent, needs, grants);
    }
    let reason = if NOT_YET.contains(&interface) {
        "is not provided by this version of kennel, so no grant can allow it".to_owned()
    } else if interface.starts_with("wasi:sockets/") {
        "is never provided: agents reach the network through `wasi:http` and granted origins only"
            .to_owned()
    } else {
        "is not an interface that kennel knows".to_owned()
    };
    Verdict::Refused(Refusal {
        import: shown(import),
        reason,
        lines: Vec::new(),
    })
}

/// A name that ends in `/` or `-` stands for everything that begins with it.
fn matches(interface: &str, name: &str) -> bool {
    if name.ends_with(['/', '-']) {
        interface.starts_with(name)
    } else {
        interface == name
    }
}

fn gated(
    import: &str,
    key: &'static str,
    line: &str,
    has: fn(&Grants) -> bool,
    agent: &AgentName,
    needs: Option<&Grants>,
    grants: &Grants,
) -> Verdict {
    if has(&super::effective(needs, grants)) {
        return Verdict::Allowed("granted");
    }
    let needed = needs.is_none_or(has);
    let granted = has(grants);
    let mut lines = Vec::new();
    if !needed {
        lines.push(addition(&format!("{agent}.toml"), "needs", line));
    }
    if !granted {
        lines.push(addition("kennel.toml", &format!("grants.{agent}"), line));
    }
    let reason = match (needed, granted) {
        (true, false) => format!("needs the grant `{key}`, which the operator has not given"),
        (false, true) => format!("needs `{key}`, which its manifest does not ask for"),
        (false, false) => format!(
            "needs `{key}`, which its manifest does not ask for and the operator has not granted"
        ),
        (true, true) => {
            lines.push(format!("in kennel.toml, under [grants.{agent}]: an entry of `{key}` that {agent}.toml asks for"));
            format!("needs `{key}`, and nothing that its manifest asks for is granted")
        }
    };
    Verdict::Refused(Refusal {
        import: shown(import),
        reason,
        lines,
    })
}

/// What to write where, as it can be pasted into the file.
fn addition(file: &str, table: &str, line: &str) -> String {
    format!("in {file}:\n        [{table}]\n        {line}")
}

/// A hostile name may be long or hold control characters.
fn shown(import: &str) -> String {
    import
        .chars()
        .take(128)
        .flat_map(char::escape_debug)
        .collect()
}

#[cfg(test)]
mod tests;
