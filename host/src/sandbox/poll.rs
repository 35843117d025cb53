//! Waiting for guests: what is ready depends on the world outside, so it is on the tape. Everything else about it is wasmtime's.

use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::io::poll::{self, HostPollable};

use super::task::Task;

impl poll::Host for Task {
    async fn poll(&mut self, list: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        self.calls.count();
        let tape = self.tape();
        let Some(taped) = tape.taped_poll()? else {
            let ready = poll::Host::poll(&mut self.table, list).await?;
            tape.put_poll(&ready);
            return Ok(ready);
        };
        for &at in &taped {
            let Some(pollable) = list.get(at as usize) else {
                let how = "what was ready is not in the list that the guest waits for".to_owned();
                return Err(tape.diverges(how).into());
            };
            await_ready(&mut self.table, pollable).await?;
        }
        Ok(taped)
    }
}

impl HostPollable for Task {
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        self.calls.count();
        let tape = self.tape();
        match tape.taped_ready()? {
            Some(true) => {
                await_ready(&mut self.table, &pollable).await?;
                Ok(true)
            }
            Some(false) => Ok(false),
            None => {
                let ready = HostPollable::ready(&mut self.table, pollable).await?;
                tape.put_ready(ready);
                Ok(ready)
            }
        }
    }

    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.calls.count();
        HostPollable::block(&mut self.table, pollable).await
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.calls.count();
        HostPollable::drop(&mut self.table, pollable)
    }
}

/// What was ready when the attempt was recorded has come so far now; in a replay that takes no time.
async fn await_ready(
    table: &mut ResourceTable,
    pollable: &Resource<DynPollable>,
) -> wasmtime::Result<()> {
    let borrowed = Resource::new_borrow(pollable.rep());
    HostPollable::block(table, borrowed).await
}
