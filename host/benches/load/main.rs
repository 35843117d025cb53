//! The host under load: `cargo xtask load`. Ends with an error when a task is lost or memory passes its bound.
//!
//! Ten thousand agents are suspended in a call into the host at once; then 1 000 and 100 000 tasks go through a flow whose journal is
//! in SQLite, on two threads. With `--profile dev` nothing below this crate is compiled a second time: everything there is optimised in
//! that profile too. `CARGO_PROFILE_DEV_OPT_LEVEL=2` optimises this crate as well.
//!
//! It refuses to judge times, but for how soon a cancelled agent has stopped: machines differ, and what it judges holds on any.

mod agents;
mod cancelled;
mod suspended;
mod tasks;

use std::process::ExitCode;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .event_interval(1)
        .global_queue_interval(1)
        .build()
        .expect("a runtime");
    let checked = if cfg!(debug_assertions) {
        "with debug assertions"
    } else {
        "without debug assertions"
    };
    println!("two worker threads, built {checked}\n");
    let mut kept = suspend(&runtime);
    println!();
    kept &= cancel(&runtime);
    println!();
    for tasks in [1_000, 100_000] {
        kept &= put_through(&runtime, tasks);
    }
    if kept {
        ExitCode::SUCCESS
    } else {
        eprintln!("a bound was broken, see above");
        ExitCode::FAILURE
    }
}

/// Says whether all came back and memory stayed within its bound.
fn suspend(runtime: &tokio::runtime::Runtime) -> bool {
    use suspended::{AGENTS, MOST_MIB};
    let seen = runtime
        .block_on(runtime.spawn(suspended::measure()))
        .expect("no panic");
    println!("agents suspended in a host call    {AGENTS:>9}");
    println!("resident before                    {:>9} MiB", seen.before);
    println!(
        "resident when all are suspended    {:>9} MiB  ≤ {MOST_MIB}",
        seen.during
    );
    let each = seen.during.saturating_sub(seen.before) * 1024 / AGENTS as u64;
    println!("for each agent                     {each:>9} KiB");
    println!("memory mappings                    {:>9}", seen.mappings);
    println!(
        "until all were suspended           {:>9} ms",
        seen.took.as_millis()
    );
    println!("right answers afterwards           {:>9}", seen.answered);
    seen.answered == AGENTS && (1..=MOST_MIB).contains(&seen.during)
}

/// Says whether agents that spin have stopped soon after somebody asked for it.
fn cancel(runtime: &tokio::runtime::Runtime) -> bool {
    use cancelled::{MOST, RUNS};
    let mut took = runtime
        .block_on(runtime.spawn(cancelled::measure()))
        .expect("no panic");
    took.sort_unstable();
    let [median, most] = [RUNS / 2, RUNS - 1].map(|nth| took[nth]);
    println!("spinning agents cancelled          {RUNS:>9}");
    println!(
        "median until the run had ended     {:>9} ms",
        median.as_millis()
    );
    println!(
        "the longest                        {:>9} ms  ≤ {}",
        most.as_millis(),
        MOST.as_millis()
    );
    most <= MOST
}

/// Says whether no task was lost.
fn put_through(runtime: &tokio::runtime::Runtime, tasks: usize) -> bool {
    let seen = runtime
        .block_on(runtime.spawn(tasks::measure(tasks)))
        .expect("no panic");
    let (runs, seconds) = (seen.runs.len(), seen.took.as_secs_f64());
    let ms = |times: &hdrhistogram::Histogram<u64>, share| {
        times.value_at_quantile(share) as f64 / 1_000.0
    };
    println!("tasks in SQLite, {runs:>4} runs         {tasks:>9}");
    println!(
        "right outputs                      {:>9}  all",
        seen.outputs
    );
    println!("ends in the journal                {:>9}  all", seen.ends);
    println!(
        "tasks a second                     {:>9.0}",
        tasks as f64 / seconds
    );
    for (what, times) in [("step", &seen.steps), ("run", &seen.runs)] {
        let (median, p99) = (ms(times, 0.5), ms(times, 0.99));
        println!("{what:4} median, p99                   {median:>9.2} {p99:.2} ms");
    }
    let syncs = seen.syncs as f64 / runs as f64;
    println!("waits for the disk, each run       {syncs:>9.2}");
    println!("resident                           {:>9} MiB\n", resident());
    seen.outputs == seen.tasks && seen.ends == seen.tasks
}

/// The resident memory of this process in MiB; 0 where the system does not tell.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
