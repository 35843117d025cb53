//! `kennel events`: which flows listen for what, and the end of a subscription that nobody serves any more.

use clap::Subcommand;

use super::exit::CliError;
use super::{Options, host, ui};
use crate::delivery::{Delivery, Subscription};

#[derive(Debug, Default, Subcommand)]
pub(super) enum EventsCommand {
    /// Lists the flows that listen for events.
    #[default]
    List,
    /// Ends the subscription of a flow, and drops the events that wait for it.
    ///
    /// A flow that is served again subscribes again.
    Forget {
        /// The flow's name.
        flow: String,
    },
}

pub(super) async fn events(options: &Options, command: EventsCommand) -> Result<(), CliError> {
    let paths = host::Paths::find(options)?;
    match command {
        // Looking must not make a store where there is none.
        EventsCommand::List if !paths.state.exists() => list(options, &[]),
        EventsCommand::List => {
            let delivery = Delivery::new(host::open_store(&paths.state)?);
            list(options, &delivery.subscriptions().await?)
        }
        EventsCommand::Forget { flow } => {
            let delivery = Delivery::new(host::open_store(&paths.state)?);
            let shown = ui::safe(&flow);
            match delivery.unsubscribe(&flow).await? {
                None => Err(CliError::Usage(format!(
                    "flow `{shown}` does not listen for events\n  help: `kennel events` lists those that do"
                ))),
                Some(dropped) if options.json => {
                    ui::json(&serde_json::json!({ "flow": flow, "dropped": dropped }))
                }
                Some(dropped) => ui::out(format_args!(
                    "{shown} no longer listens; {dropped} waiting events dropped"
                )),
            }
        }
    }
}

fn list(options: &Options, subscriptions: &[Subscription]) -> Result<(), CliError> {
    if options.json {
        return ui::json(&subscriptions);
    }
    if subscriptions.is_empty() {
        ui::say("no flow listens for events");
        return Ok(());
    }
    let row = |one: &Subscription| {
        let types: Vec<_> = one.types.iter().map(ToString::to_string).collect();
        vec![
            ui::safe(&one.flow),
            format!("{:.0}", one.since),
            types.join(", "),
        ]
    };
    let rows: Vec<_> = subscriptions.iter().map(row).collect();
    ui::table(&["FLOW", "SINCE", "LISTENS FOR"], &rows)
}
