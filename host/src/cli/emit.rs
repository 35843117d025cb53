//! `kennel emit`: one event, for every flow that listens for its type.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use ulid::Ulid;

use super::exit::CliError;
use super::{Options, host, input, ui};
use crate::delivery::{Delivered, Delivery, Published};
use crate::event::{CloudEvent, EventError};
use crate::id::EventType;

/// Where events of the command line come from when nothing else is said.
const SOURCE: &str = "/cli";

#[derive(Debug, clap::Args)]
pub(super) struct EmitArgs {
    /// What it tells, such as `report.ready`.
    #[arg(value_name = "TYPE")]
    event_type: EventType,
    /// What it carries: JSON, `@FILE` for a file of JSON, or `-` for JSON on standard input.
    ///
    /// Inside the JSON a string `@PATH` becomes the file at PATH (`@@` stands for a plain `@`).
    #[arg(long, short, value_name = "JSON|@FILE|-")]
    data: Option<String>,
    /// Where it comes from: a URI or a path.
    #[arg(long, default_value = SOURCE)]
    source: String,
    /// Its id, unique in its source. An event that was there before starts nothing [default: a new one].
    #[arg(long)]
    id: Option<String>,
    /// What it is about.
    #[arg(long)]
    subject: Option<String>,
}

/// What became of the event, as `--json` prints it.
#[derive(Serialize)]
struct Told<'a> {
    id: &'a str,
    source: &'a str,
    r#type: &'a EventType,
    flows: Vec<At<'a>>,
}

#[derive(Serialize)]
struct At<'a> {
    flow: &'a str,
    became: Delivered,
}

pub(super) async fn emit(options: &Options, args: &EmitArgs) -> Result<(), CliError> {
    let backend = host::open_store(&host::Paths::find(options)?.state)?;
    let data = match &args.data {
        None => Value::Null,
        Some(data) => input::read_json("--data", data, backend.blobs()).await?,
    };
    let event = event(args, data)
        .map_err(|error| CliError::Usage(format!("this is not an event: {error}")))?;
    let now = Timestamp::now();
    let event = CloudEvent {
        time: Some(now),
        ..event
    };
    let published = Delivery::new(backend).publish(&event, now).await?;
    tell(options, &event, &published)?;
    let full = published.at(Delivered::Full).count();
    if full > 0 {
        ui::say(format_args!(
            "{} overloaded: too many events wait for {full} of the flows\n  help: when some are handled, emit it again with --id {}",
            ui::styled(ui::BAD, "error:"),
            ui::safe(&event.id)
        ));
        return Err(CliError::Failed);
    }
    Ok(())
}

fn event(args: &EmitArgs, data: Value) -> Result<CloudEvent, EventError> {
    let id = args
        .id
        .clone()
        .unwrap_or_else(|| Ulid::generate().to_string());
    let event = CloudEvent::new(args.source.as_str(), id, args.event_type.clone(), data)?;
    event.about(args.subject.clone())
}

fn tell(options: &Options, event: &CloudEvent, published: &Published) -> Result<(), CliError> {
    if published.flows.is_empty() {
        ui::say(format_args!(
            "{} no flow listens for `{}`; the event was dropped\n  help: `kennel run FLOW` serves a flow that has it under `on`, `kennel events` lists those that listen",
            ui::styled(ui::WARN, "warning:"),
            event.event_type
        ));
    }
    if options.json {
        let flows = published.flows.iter().map(|(flow, became)| At {
            flow,
            became: *became,
        });
        return ui::json(&Told {
            id: &event.id,
            source: &event.source,
            r#type: &event.event_type,
            flows: flows.collect(),
        });
    }
    published.flows.iter().try_for_each(|(flow, became)| {
        let became = match became {
            Delivered::Queued => ui::styled(ui::GOOD, "queued"),
            Delivered::Duplicate => ui::styled(ui::DIM, "duplicate"),
            Delivered::Full => ui::styled(ui::BAD, "full"),
        };
        ui::out(format_args!(
            "{became}  {}  {}",
            ui::safe(flow),
            ui::styled(ui::DIM, ui::safe(&event.id))
        ))
    })
}
