//! What must hold of a store in which everything was gone on with, whatever happened before. Read from the file itself, past all code
//! of the host.

use std::collections::BTreeMap;

use rusqlite::types::{FromSql, Value};
use rusqlite::{Connection, OpenFlags};

use crate::harness::Kennel;

/// What a kennel's store holds.
pub(crate) struct Books {
    db: Connection,
}

/// A step of a run.
pub(crate) type StepOf = (String, String);

impl Books {
    /// Opens the file for reading; nothing is recovered or folded by that.
    pub(crate) fn open(kennel: &Kennel) -> Option<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(kennel.state().join("kennel.db"), flags).ok()?;
        db.busy_timeout(std::time::Duration::from_secs(5)).ok()?;
        Some(Self { db })
    }

    /// The answer to a question that has one number or text as its answer.
    #[track_caller]
    pub(crate) fn one<T: FromSql>(&self, sql: &str) -> T {
        let one = self.db.query_row(sql, [], |row| row.get(0));
        one.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The ids of all runs that a journal begins.
    pub(crate) fn runs(&self) -> Vec<String> {
        let mut rows = self
            .db
            .prepare("SELECT DISTINCT run FROM events ORDER BY run")
            .expect("prepared");
        let runs = rows.query_map([], |row| row.get(0)).expect("asked");
        runs.map(|run| run.expect("an id")).collect()
    }

    /// Whether a flow listens.
    pub(crate) fn are_subscribed(&self) -> bool {
        let subscribed = "SELECT EXISTS (SELECT 1 FROM kv WHERE ns = '.flows')";
        // While the store is being made the tables may not be there.
        let subscribed = self.db.query_row(subscribed, [], |row| row.get(0));
        subscribed.unwrap_or(false)
    }

    /// Whether `runs` runs have ended, none is unfinished, and nothing waits.
    pub(crate) fn are_settled(&self, runs: u32) -> bool {
        let settled = "SELECT (SELECT count(*) FROM runs WHERE outcome IS NOT NULL) = ?1
            AND NOT EXISTS (SELECT 1 FROM runs WHERE outcome IS NULL) AND NOT EXISTS (SELECT 1 FROM tasks WHERE queue <> 'runs')";
        self.db
            .query_row(settled, [runs], |row| row.get(0))
            .unwrap_or(false)
    }

    /// How many events wait for a flow or have become its run.
    pub(crate) fn events(&self) -> u32 {
        let there = "SELECT (SELECT count(DISTINCT run) FROM events) + (SELECT count(*) FROM tasks WHERE queue <> 'runs')";
        // While the store is being made the tables may not be there.
        self.db.query_row(there, [], |row| row.get(0)).unwrap_or(0)
    }

    /// How often each step was begun, and how often it succeeded.
    pub(crate) fn steps(&self) -> BTreeMap<StepOf, (u32, u32)> {
        let sql = "SELECT run, json_extract(body, '$.step'), sum(kind = 'step-started'), sum(kind = 'step-succeeded') FROM events
            WHERE kind IN ('step-started', 'step-succeeded') GROUP BY 1, 2";
        let mut rows = self.db.prepare(sql).expect("prepared");
        let steps = rows.query_map([], |row| {
            Ok(((row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?)))
        });
        steps
            .expect("asked")
            .map(|step| step.expect("a step"))
            .collect()
    }

    /// How often the agent `counter` was really executed for each step, as its history of state tells.
    pub(crate) fn executed(&self) -> BTreeMap<StepOf, u32> {
        let sql = "SELECT task, count(*) FROM kv_log WHERE ns = 'counter' AND op = 'add' AND delta <> 0 AND run IS NOT NULL GROUP BY task";
        let mut rows = self.db.prepare(sql).expect("prepared");
        let executed = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        let executed = executed.expect("asked").map(|task| {
            let (task, times): (String, u32) = task.expect("a task");
            let (run, step) = task.split_once('/').expect("a task of a run");
            ((run.to_owned(), step.to_owned()), times)
        });
        executed.collect()
    }

    /// Every row of every table, as text and in order, but for what is another at each start though nothing has happened: a flow that is
    /// served subscribes anew, with the present time, and that takes a revision of the counter that all namespaces share.
    pub(crate) fn everything(&self) -> BTreeMap<String, Vec<String>> {
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'kv_last'";
        let mut tables = self.db.prepare(tables).expect("prepared");
        let tables = tables.query_map([], |row| row.get(0)).expect("asked");
        tables
            .map(|table| table.expect("a name"))
            .map(|table: String| (table.clone(), self.rows(&table)))
            .collect()
    }

    fn rows(&self, table: &str) -> Vec<String> {
        let all = self.db.prepare(&format!("SELECT * FROM \"{table}\""));
        let mut all = all.expect("prepared");
        let columns: Vec<_> = all.column_names().map(str::to_owned).collect();
        let mut found = all.query([]).expect("asked");
        let mut rows = Vec::new();
        while let Some(row) = found.next().expect("a row") {
            let value = |column: &String| {
                let value: Value = row.get(column.as_str()).expect("a value");
                format!("{column}={value:?}")
            };
            let is_renewed = columns.iter().any(|column| column == "ns")
                && row.get::<_, String>("ns").expect("text") == ".flows";
            if !is_renewed {
                let values: Vec<_> = columns.iter().map(value).collect();
                rows.push(values.join(" "));
            }
        }
        rows.sort();
        rows
    }

    /// Claims what holds of every store at rest: the file is whole, every journal is whole and ends once, and everything that is counted
    /// or listed is what the journals and the history say.
    #[track_caller]
    pub(crate) fn are_right(&self) {
        assert_eq!(self.one::<String>("PRAGMA integrity_check"), "ok");
        for (wrong, sql) in WRONG {
            let found: u32 = self.one(&format!("SELECT count(*) FROM ({sql})"));
            assert_eq!(found, 0, "{wrong}");
        }
    }
}

/// Questions to which the answer must be nothing.
const WRONG: [(&str, &str); 10] = [
    ("a record cannot be read", "SELECT 1 FROM events WHERE kind IS NULL"),
    (
        "a journal has a hole",
        "SELECT run FROM events GROUP BY run, lane HAVING min(rev) <> 1 OR max(rev) <> count(*)",
    ),
    (
        "a run has not ended, or twice, or something came after its end",
        "SELECT run FROM events GROUP BY run
         HAVING sum(kind = 'run-finished') <> 1 OR max(rev) <> max(CASE WHEN kind = 'run-finished' THEN rev END)",
    ),
    (
        "a run does not begin with its beginning",
        "SELECT 1 FROM events WHERE (rev = 1) <> (kind = 'run-started')",
    ),
    (
        "the list of runs is not what the journals say",
        "SELECT run FROM runs WHERE outcome IS NULL OR run NOT IN (SELECT run FROM events)
         UNION ALL SELECT run FROM events WHERE run NOT IN (SELECT run FROM runs)",
    ),
    (
        // Whoever is killed between the last record of a run and the end of its entry leaves the entry until its place is needed.
        "something waits in a queue",
        "SELECT 1 FROM tasks WHERE queue <> 'runs' OR key NOT IN (SELECT run FROM runs WHERE outcome IS NOT NULL)",
    ),
    (
        "shared state is not what its history says",
        "SELECT ns, key, rev FROM (SELECT ns, key, max(rev) AS rev, op FROM kv_log GROUP BY ns, key) WHERE op <> 'delete'
         EXCEPT SELECT ns, key, rev FROM kv",
    ),
    (
        "a quota is not what was used",
        "SELECT l.ns, count(kv.rev), coalesce(sum(l.size) FILTER (WHERE kv.rev IS NOT NULL), 0),
             count(*) - count(kv.rev), coalesce(sum(l.size) FILTER (WHERE kv.rev IS NULL), 0)
         FROM kv_log l LEFT JOIN kv ON kv.ns = l.ns AND kv.key = l.key AND kv.rev = l.rev GROUP BY l.ns
         EXCEPT SELECT ns, keys, bytes, past, past_bytes FROM kv_used",
    ),
    (
        "the last revision is behind",
        "SELECT 1 FROM kv_last WHERE rev < (SELECT coalesce(max(rev), 0) FROM kv_log)",
    ),
    (
        "the bytes of earlier answers are counted wrong",
        "SELECT bytes FROM answers_used EXCEPT SELECT coalesce(sum(length(bytes) + 256), 0) FROM answers",
    ),
];
