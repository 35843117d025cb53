//! Shows shared state: agents, keys, values and their history. Everything an agent wrote is made safe for terminals.

use std::collections::VecDeque;
use std::io::{IsTerminal as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::super::exit::CliError;
use super::super::{Options, ui};
use super::fail;
use crate::id::AgentName;
use crate::store::{KvBy, KvChange, KvData, KvEntry, KvKept, KvOp, KvValue, Rev, SharedBackend};

/// Keys and changes asked for at once.
const PAGE: usize = 1000;
/// Characters of a value in a table.
const SHORT: usize = 40;

pub(super) async fn agents(options: &Options, store: &SharedBackend) -> Result<(), CliError> {
    let mut spaces = store.kv().spaces().await?;
    // The others are the host's own.
    spaces.retain(|space| space.agent.parse::<AgentName>().is_ok());
    if options.json {
        return ui::json(&spaces);
    }
    if spaces.is_empty() {
        ui::say("no agent keeps any state");
        return Ok(());
    }
    let row = |space: &crate::store::KvSpace| {
        vec![
            ui::safe(&space.agent),
            space.keys.to_string(),
            ui::bytes(space.bytes),
        ]
    };
    ui::table(
        &["AGENT", "KEYS", "SIZE"],
        &spaces.iter().map(row).collect::<Vec<_>>(),
    )
}

pub(super) async fn keys(
    options: &Options,
    store: &SharedBackend,
    agent: &AgentName,
    prefix: &str,
) -> Result<(), CliError> {
    let kv = store.kv();
    let mut entries = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = kv
            .keys(agent.as_str(), prefix, after.as_deref(), PAGE)
            .await?;
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        for key in page {
            // One that is gone by now is not listed.
            if let Some(entry) = kv.get(agent.as_str(), &key).await? {
                entries.push((key, entry));
            }
        }
    }
    if options.json {
        let line = |(key, entry): &(String, KvEntry)| {
            json!({
                "key": key,
                "revision": entry.rev,
                "format": entry.value.format,
                "size": entry.value.bytes.len(),
            })
        };
        return ui::json(&entries.iter().map(line).collect::<Vec<_>>());
    }
    if entries.is_empty() {
        ui::say(format_args!("agent `{agent}` keeps no such key"));
        return Ok(());
    }
    let row = |(key, entry): &(String, KvEntry)| {
        vec![
            ui::safe(key),
            entry.rev.0.to_string(),
            ui::safe(&entry.value.format),
            ui::bytes(entry.value.bytes.len() as u64),
            short(&entry.value.format, &entry.value.bytes),
        ]
    };
    ui::table(
        &["KEY", "REVISION", "FORMAT", "SIZE", "VALUE"],
        &entries.iter().map(row).collect::<Vec<_>>(),
    )
}

/// There is no such key.
pub(super) fn absent(agent: &AgentName, key: &str) -> CliError {
    fail(format_args!(
        "agent `{agent}` keeps nothing under `{}`\n  help: `kennel state list {agent}` lists its keys",
        ui::safe(key)
    ))
}

pub(super) async fn present(
    options: &Options,
    store: &SharedBackend,
    agent: &AgentName,
    key: &str,
) -> Result<(), CliError> {
    match store.kv().get(agent.as_str(), key).await? {
        Some(entry) => value(options, key, &entry),
        None => Err(absent(agent, key)),
    }
}

pub(super) async fn past(
    options: &Options,
    store: &SharedBackend,
    agent: &AgentName,
    key: &str,
    rev: Rev,
) -> Result<(), CliError> {
    let before = Rev(rev.0.saturating_sub(1));
    let found = store
        .kv()
        .history(agent.as_str(), Some(key), before, 1)
        .await?;
    let change = found.into_iter().find(|change| change.rev == rev);
    let Some(KvKept { format, data, .. }) = change.and_then(|change| change.value) else {
        return Err(fail(format_args!(
            "revision {} of `{}` made no value, or is no longer in the history\n  help: `kennel state history {agent}` lists the changes",
            rev.0,
            ui::safe(key)
        )));
    };
    let bytes = bytes(store, data).await?;
    let entry = KvEntry {
        value: KvValue { format, bytes },
        rev,
    };
    value(options, key, &entry)
}

async fn bytes(store: &SharedBackend, data: KvData) -> Result<Bytes, CliError> {
    match data {
        KvData::Inline(bytes) => Ok(bytes),
        KvData::Blob(digest) => store
            .blobs()
            .get(digest)
            .await?
            .ok_or_else(|| CliError::Store(format!("the blob {digest} is gone"))),
    }
}

fn value(options: &Options, key: &str, entry: &KvEntry) -> Result<(), CliError> {
    let KvValue { format, bytes } = &entry.value;
    if options.json {
        let mut said = Map::new();
        said.insert("key".into(), key.into());
        said.insert("revision".into(), json!(entry.rev));
        said.extend(held(format, bytes));
        return ui::json(&said);
    }
    match plain(format, bytes) {
        Some(value) => ui::value(&value),
        None if std::io::stdout().is_terminal() => Err(fail(format_args!(
            "the value is {} of {}; send it to a file with > FILE",
            ui::safe(format),
            ui::bytes(bytes.len() as u64)
        ))),
        None => std::io::stdout()
            .write_all(bytes)
            .map_err(|_| CliError::Failed),
    }
}

/// The value as JSON, when it is text or JSON.
fn plain(format: &str, bytes: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(bytes).ok()?;
    match format {
        "text" => Some(text.into()),
        "json" => serde_json::from_str(text).ok(),
        _ => None,
    }
}

/// `format`, `size`, and `value` or `base64`.
fn held(format: &str, bytes: &[u8]) -> Map<String, Value> {
    let mut held = Map::new();
    held.insert("format".into(), format.into());
    held.insert("size".into(), bytes.len().into());
    match plain(format, bytes) {
        Some(value) => held.insert("value".into(), value),
        None => held.insert("base64".into(), BASE64.encode(bytes).into()),
    };
    held
}

/// The beginning of a value, on one line.
fn short(format: &str, bytes: &[u8]) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if !format.contains('/') => text,
        _ => return String::new(),
    };
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(SHORT).collect();
    let more = if chars.next().is_some() { "…" } else { "" };
    format!("{}{more}", ui::safe(&start).replace(['\n', '\t'], " "))
}

pub(super) async fn history(
    options: &Options,
    store: &SharedBackend,
    agent: &AgentName,
    key: Option<&str>,
    limit: usize,
) -> Result<(), CliError> {
    let mut newest = VecDeque::new();
    let mut after = Rev::NONE;
    loop {
        let page = store.kv().history(agent.as_str(), key, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.rev;
        newest.extend(page);
        newest.drain(..newest.len().saturating_sub(limit));
    }
    if options.json {
        return ui::json(&newest.iter().map(told).collect::<Vec<_>>());
    }
    if newest.is_empty() {
        return Err(match key {
            Some(key) => absent(agent, key),
            None => fail(format_args!("agent `{agent}` has never kept anything")),
        });
    }
    let row = |change: &KvChange| {
        let at = change.at.map(|at| format!("{at:.0}")).unwrap_or_default();
        vec![
            change.rev.0.to_string(),
            at,
            ui::safe(&change.key),
            op(change.op),
            after_it(change),
            by(&change.by),
        ]
    };
    ui::table(
        &["REVISION", "AT", "KEY", "CHANGE", "VALUE", "BY"],
        &newest.iter().map(row).collect::<Vec<_>>(),
    )
}

fn op(op: KvOp) -> String {
    match op {
        KvOp::Set => "set".into(),
        KvOp::Swap => "swap".into(),
        KvOp::Delete => "delete".into(),
        KvOp::Add(delta) => format!("add {delta}"),
    }
}

fn after_it(change: &KvChange) -> String {
    match &change.value {
        None => String::new(),
        Some(KvKept {
            format,
            data: KvData::Inline(bytes),
            ..
        }) if !format.contains('/') => short(format, bytes),
        Some(KvKept { format, size, .. }) => {
            format!("{}, {}", ui::safe(format), ui::bytes(*size))
        }
    }
}

fn by(by: &KvBy) -> String {
    match &by.task {
        Some(task) => ui::safe(task),
        None => "by hand".into(),
    }
}

/// One change, as `--json` prints it.
fn told(change: &KvChange) -> Value {
    let mut said = Map::new();
    said.insert("revision".into(), json!(change.rev));
    said.insert("key".into(), change.key.as_str().into());
    let (name, delta) = match change.op {
        KvOp::Set => ("set", None),
        KvOp::Swap => ("swap", None),
        KvOp::Delete => ("delete", None),
        KvOp::Add(delta) => ("add", Some(delta)),
    };
    said.insert("change".into(), name.into());
    said.extend(delta.map(|delta| ("delta".into(), delta.into())));
    match &change.value {
        None => {}
        Some(KvKept {
            format,
            data: KvData::Inline(bytes),
            ..
        }) => said.extend(held(format, bytes)),
        Some(KvKept {
            format,
            data: KvData::Blob(digest),
            size,
        }) => {
            said.insert("format".into(), format.as_str().into());
            said.insert("size".into(), (*size).into());
            said.insert("blob".into(), digest.to_string().into());
        }
    }
    let at = change.at.map(|at| ("at".to_owned(), json!(at)));
    let run = change.by.run.map(|run| ("run".to_owned(), json!(run)));
    let task = change.by.task.as_ref();
    let task = task.map(|task| ("task".to_owned(), task.as_str().into()));
    said.extend(at.into_iter().chain(run).chain(task));
    Value::Object(said)
}
