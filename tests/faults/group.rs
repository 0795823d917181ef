//! One topic, the cases that strike while it is read, and the judgement at its end.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::harness::{Isolation, Line, Running, wait_for};
use crate::judge::{Judgement, judge, open_transactions};
use crate::source::{CHUNK, LATENESS, Shape, append, chunks};
use crate::stack::Stack;

/// No run to the end takes longer, even on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(120);
/// So many offsets are ahead of the program when a case begins,
const AHEAD: i64 = 4 * CHUNK;
/// and of several, in cases that take longer.
const FAR_AHEAD: i64 = 12 * CHUNK;
/// Small fetches with pauses between them: many small transactions.
const SMALL: [&str; 4] = ["-X", "fetch.message.max.bytes=4000", "-X", "queued.min.messages=1"];
const SLOW: [&str; 2] = ["-X", "fetch.queue.backoff.ms=20"];
const SLOWER: [&str; 2] = ["-X", "fetch.queue.backoff.ms=150"];

pub struct Group {
    pub line: Line,
    pub shape: Shape,
    pub delta: bool,
    id: u32,
    chunks: i64,
}

impl Group {
    /// Makes the group's topic, or goes on with it.
    pub fn open(stack: &Stack, name: String, shape: Shape, delta: bool) -> Self {
        let mut line = Line::named(name, &stack.kafka);
        let registry = stack.registry.clone();
        line.edit(|table| drop(table["registry"].as_table_mut().expect("a table").insert("url".into(), registry.into())));
        line.set_aggregate("window", format!("{} ms", shape.window_ms));
        line.set_aggregate("lateness", format!("{LATENESS} ms"));
        // A case may take long with all that was written being read; the next goes on writing where the last one ended.
        line.set_aggregate("idle_timeout", "10m");
        if delta {
            line.set_aggregate("late", "delta");
        }
        if shape.keyed {
            line.set_aggregate("keyed_by_group", true);
        }
        let schema = std::fs::read_to_string(line.folder.join("sales.avsc")).expect("the schema");
        let id = line.decoder().register(&format!("{}-value", line.source), &schema);
        if line.topics.partitions(&line.source) == 0 {
            line.topics.create(&line.source, shape.partitions, &[]);
        }
        let chunks = chunks(&line);
        Self { line, shape, delta, id, chunks }
    }

    /// How far the program has read, by partition, as committed.
    pub fn positions(&self) -> BTreeMap<i32, i64> {
        let committed = self.line.topics.committed(&self.line.group(), &self.line.source);
        committed.into_iter().map(|(partition, (_, stamp))| (partition, stamp["position"].as_i64().unwrap_or(0))).collect()
    }

    /// The same over all partitions.
    pub fn position(&self) -> i64 {
        self.positions().values().sum()
    }

    /// Sees to it that there is enough to read.
    pub fn top_up(&mut self) {
        let goal = self.position() + if self.shape.keyed { FAR_AHEAD } else { AHEAD };
        let missing = goal - self.line.topics.ends(&self.line.source, Isolation::Uncommitted).iter().sum::<i64>();
        if missing > 0 {
            let end = self.chunks + (missing - 1) / CHUNK + 1;
            append(&self.line, &self.shape, self.id, self.chunks..end);
            self.chunks = end;
        }
    }

    /// Starts the program on small fetches; `faults`: for its environment; `through`: another way to the broker.
    pub fn start(&self, faults: &str, through: Option<&str>, more: &[&str]) -> Running {
        let slow = if self.shape.keyed { &SLOWER } else { &SLOW };
        let way = through.map(|address| format!("kafka.bootstrap_servers={address}"));
        let way: Vec<&str> = way.iter().flat_map(|way| ["--set", way]).collect();
        self.line.start_with(&[&["aggregate"][..], &SMALL, slow, &way, more].concat(), &[("FAULTS", faults)])
    }

    /// Whether a transaction is open at the broker, now that nobody writes any more.
    pub fn is_inside(&self) -> bool {
        // A commit that was answered a moment ago may not have reached every partition: it ends by itself.
        std::thread::sleep(Duration::from_millis(200));
        !open_transactions(&self.line).is_empty()
    }

    /// Waits until the program has committed more; returns whether it still runs.
    pub fn wait_for_progress(&self, process: &mut Running, from: i64, limit: Duration) -> bool {
        let deadline = std::time::Instant::now() + limit;
        while process.is_alive() && std::time::Instant::now() < deadline {
            if self.position() > from {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        process.is_alive()
    }

    /// Waits until the group has no members: those of an earlier case stay until their sessions end.
    pub fn wait_for_no_members(&self) {
        let group = self.line.group();
        wait_for("the members of the last case to be gone", LIMIT, || (!self.line.topics.has_members(&group)).then_some(()));
    }

    /// Waits until every partition has been read on, whoever had it before.
    pub fn wait_for_handover(&self, process: &mut Running, limit: Duration) {
        let (before, ends) = (self.positions(), self.line.topics.ends(&self.line.source, Isolation::Committed));
        let end = |partition: i32| usize::try_from(partition).ok().and_then(|partition| ends.get(partition).copied());
        wait_for("every partition to be read on", limit, || {
            let moved = self.positions().iter().all(|(partition, position)| {
                before.get(partition).is_none_or(|old| position > old) || end(*partition).is_some_and(|end| *position >= end)
            });
            (moved || !process.is_alive()).then_some(())
        });
    }

    /// A run to the end without faults, and the judgement.
    pub fn finish(&self, faults: &str) -> Judgement {
        let arguments = ["aggregate", "--until-caught-up", "--close-all"];
        self.line.start_with(&arguments, &[("FAULTS", faults)]).wait(LIMIT).expect(0);
        // The last commit was answered; its markers may take a moment more.
        wait_for("the end of the last transaction", Duration::from_secs(20), || {
            open_transactions(&self.line).is_empty().then_some(())
        });
        judge(&self.line, &self.shape, self.delta)
    }

    /// Deletes all that it has on the servers.
    pub fn forget(self) {
        self.line.clear();
    }
}
