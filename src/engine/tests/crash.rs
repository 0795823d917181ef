//! Processes that share a topic's partitions, and may be killed or given other partitions at any moment, against the oracle.

mod cases;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::*;
use cases::{Step, log, setting, steps};

/// What lies at an offset.
#[derive(Debug, Clone)]
enum Entry {
    Event {
        time_ms: i64,
        group: u8,
        value: Option<i64>,
    },
    /// With an event time that is no time, as its Kafka timestamp shows.
    Future {
        time_ms: i64,
    },
    /// Cannot be decoded.
    Broken,
    /// Kafka's own: no client sees it.
    Control,
}

type Log = Vec<Entry>;

fn values(definition: &Definition, value: Option<i64>) -> Vec<Option<Number>> {
    vec![value.map(|value| Number::Int(value.into())); definition.functions.len()]
}

/// What is durable: all that a transaction carries appears in it together or not at all.
#[derive(Debug, Default)]
struct Sink {
    rows: Vec<Row>,
    late: Vec<(i32, i64)>,
    poison: Vec<(i32, i64)>,
    commits: BTreeMap<i32, Commit>,
}

/// A process that can be killed: an engine, and outputs that are not committed yet.
struct Process {
    engine: Engine,
    next: BTreeMap<i32, i64>,
    late: Vec<(i32, i64)>,
    poison: Vec<(i32, i64)>,
}

impl Process {
    fn start(definition: &Definition, cell_budget: usize, partitions: &[i32], sink: &Sink) -> Self {
        // A partition added later takes over what is closed.
        let closed_through = sink.commits.values().map(|commit| commit.progress.closed_through).max().unwrap_or(i64::MIN);
        let added = Progress { closed_through, ..Progress::starting_at(0) };
        let assigned: Vec<(i32, i64, Progress)> = partitions
            .iter()
            .map(|partition| match sink.commits.get(partition) {
                Some(commit) => (*partition, commit.offset, commit.progress),
                None => (*partition, 0, added),
            })
            .collect();
        let next = assigned.iter().map(|(partition, offset, _)| (*partition, *offset)).collect();
        let engine = Engine::new(definition.clone(), assigned).with_cell_budget(cell_budget);
        Self { engine, next, late: Vec::new(), poison: Vec::new() }
    }

    /// Reads what is next in a partition; false if there is no more.
    fn read(&mut self, definition: &Definition, partition: i32, log: &Log) -> Result<bool, TestCaseError> {
        let offset = self.next[&partition];
        let Some(entry) = log.get(offset as usize) else { return Ok(false) };
        let verdict = match entry {
            Entry::Event { time_ms, group, value } => {
                let values = values(definition, *value);
                let (kafka_time_ms, group) = (Some(*time_ms), &[*group][..]);
                self.engine.observe(&Event { partition, offset, time_ms: *time_ms, kafka_time_ms, group, values: &values })
            }
            Entry::Future { time_ms } => {
                let kafka_time_ms = Some(time_ms - definition.max_future_ms - 1);
                self.engine.observe(&Event { partition, offset, time_ms: *time_ms, kafka_time_ms, group: &[], values: &[] })
            }
            Entry::Broken if self.engine.reject(partition, offset) => Verdict::OutOfRange,
            Entry::Broken | Entry::Control => Verdict::Old,
        };
        match verdict {
            Verdict::Counted | Verdict::Old => {}
            Verdict::Late => self.late.push((partition, offset)),
            Verdict::OutOfRange => self.poison.push((partition, offset)),
            Verdict::Scattered { other } => prop_assert!(false, "{partition} and {other}"),
        }
        *self.next.get_mut(&partition).unwrap() += 1;
        if self.engine.replaying() {
            self.pass_control_records();
        }
        Ok(true)
    }

    fn pass_control_records(&mut self) {
        self.next.iter().for_each(|(partition, next)| self.engine.read_up_to(*partition, *next));
    }

    fn commit(&mut self, sink: &mut Sink) {
        self.pass_control_records();
        let pending = self.engine.pending_rows();
        let rows = self.engine.take_rows();
        assert_eq!((rows.len(), self.engine.pending_rows()), (pending, 0));
        sink.rows.extend(rows);
        sink.late.append(&mut self.late);
        sink.poison.append(&mut self.poison);
        sink.commits.extend(self.engine.commits().into_iter().map(|commit| (commit.partition, commit)));
    }
}

struct World<'a> {
    definition: &'a Definition,
    cell_budget: usize,
    logs: &'a [Log],
    sink: Sink,
    /// Which process holds each partition that is there yet.
    owners: Vec<usize>,
    processes: Vec<Process>,
}

impl<'a> World<'a> {
    fn new(definition: &'a Definition, cell_budget: usize, logs: &'a [Log], processes: usize, partitions: usize) -> Self {
        let owners = (0..partitions).map(|partition| partition % processes).collect();
        let mut world = Self { definition, cell_budget, logs, sink: Sink::default(), owners, processes: Vec::new() };
        world.restart_all(processes);
        world
    }

    fn started(&self, process: usize) -> Process {
        let partitions = self.owners.iter().enumerate().filter(|(_, owner)| **owner == process);
        let partitions: Vec<i32> = partitions.map(|(partition, _)| partition as i32).collect();
        Process::start(self.definition, self.cell_budget, &partitions, &self.sink)
    }

    /// Whatever changes of the assignment: everybody drops what it has, and restores what it holds now.
    fn restart_all(&mut self, processes: usize) {
        self.processes = (0..processes).map(|process| self.started(process)).collect();
    }

    fn add_partition(&mut self) {
        if self.owners.len() < self.logs.len() {
            self.owners.push(self.owners.len() % self.processes.len());
            self.restart_all(self.processes.len());
        }
    }

    fn read(&mut self, partition: usize) -> Result<bool, TestCaseError> {
        let Some(owner) = self.owners.get(partition) else { return Ok(false) };
        self.processes[*owner].read(self.definition, partition as i32, &self.logs[partition])
    }

    fn commit(&mut self, process: usize) {
        self.processes[process].commit(&mut self.sink);
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let count = self.processes.len();
        match *step {
            Step::Read(partition) => drop(self.read(partition)?),
            Step::Commit(process) => self.commit(process % count),
            Step::Crash(process) => self.processes[process % count] = self.started(process % count),
            Step::Move(partition, process) if partition < self.owners.len() => {
                self.owners[partition] = process % count;
                self.restart_all(count);
            }
            Step::AddPartition => self.add_partition(),
            Step::Idle(partition) => {
                self.processes.iter_mut().for_each(|process| process.engine.set_idle(partition as i32, true));
            }
            Step::IdleAll(process) => {
                let process = &mut self.processes[process % count];
                process.next.keys().for_each(|partition| process.engine.set_idle(*partition, true));
            }
            Step::WallClock(process, ahead) => {
                let engine = &mut self.processes[process % count].engine;
                let now = engine.watermark().map_or(0, |watermark| watermark + ahead);
                engine.close_by_wall_clock(now);
            }
            Step::CloseAll(process) => self.processes[process % count].engine.close_all(),
            Step::Move(..) => {}
        }
        Ok(())
    }

    /// Reads all that is left, as a session does: not from partitions that should wait.
    fn finish(&mut self) -> Result<(), TestCaseError> {
        while self.owners.len() < self.logs.len() {
            self.add_partition();
        }
        let mut stalls = 0;
        while stalls < 2 {
            let mut moved = false;
            for partition in 0..self.logs.len() {
                let engine = &self.processes[self.owners[partition]].engine;
                moved |= !engine.should_wait(partition as i32) && self.read(partition)?;
            }
            stalls = if moved { 0 } else { stalls + 1 };
            // Partitions that were read to their ends are silent, and must not hold the others for ever.
            for (partition, owner) in self.owners.iter().enumerate().filter(|_| !moved) {
                let process = &mut self.processes[*owner];
                if process.next[&(partition as i32)] as usize == self.logs[partition].len() {
                    process.engine.set_idle(partition as i32, true);
                }
            }
        }
        for process in &mut self.processes {
            for (partition, next) in &process.next {
                prop_assert_eq!(*next as usize, self.logs[*partition as usize].len(), "waits for ever");
            }
            prop_assert!(!process.engine.replaying());
            process.engine.close_all();
            process.commit(&mut self.sink);
        }
        self.judge()
    }

    /// Every record in exactly one row, late handling or dead letter, and every row right.
    fn judge(&self) -> Result<(), TestCaseError> {
        let late: BTreeSet<_> = self.sink.late.iter().copied().collect();
        prop_assert_eq!(late.len(), self.sink.late.len(), "a record was handled as late twice");
        let (mut events, mut poison) = (Vec::new(), Vec::new());
        for (partition, log) in self.logs.iter().enumerate() {
            for (offset, entry) in log.iter().enumerate() {
                let place = (partition as i32, offset as i64);
                match entry {
                    Entry::Event { time_ms, group, value } if self.definition.late_deltas || !late.contains(&place) => {
                        let (group, values) = (Box::new([*group]), values(self.definition, *value));
                        events.push(Observed { time_ms: *time_ms, group, values });
                    }
                    Entry::Future { .. } | Entry::Broken => poison.push(place),
                    Entry::Event { .. } | Entry::Control => {}
                }
            }
        }
        let mut found = self.sink.poison.clone();
        found.sort_unstable();
        prop_assert_eq!(found, poison);
        prop_assert_eq!(self.cells()?, recompute(self.definition, events));
        Ok(())
    }

    /// The rows by cell; there is one for each, unless deltas are to be added up.
    fn cells(&self) -> Result<Cells, TestCaseError> {
        let mut cells = Cells::new();
        for row in &self.sink.rows {
            prop_assert_eq!(row.end_ms, row.start_ms + self.definition.window_ms);
            let cell = (row.start_ms, row.group.clone());
            let Some(before) = cells.insert(cell.clone(), row.values.clone()) else { continue };
            prop_assert!(self.definition.late_deltas, "two rows for {cell:?}");
            let added = before.iter().zip(&row.values).map(|(a, b)| match (a, b) {
                (Some(Number::Int(a)), Some(Number::Int(b))) => Some(Number::Int(a + b)),
                (a, b) => a.or(*b),
            });
            cells.insert(cell, added.collect());
        }
        Ok(cells)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_record_ends_in_one_row_or_one_late_handling(
        setting in setting(), logs in prop::collection::vec(log(), 1..5), steps in steps()
    ) {
        let logs = setting.placed(&logs);
        let partitions = setting.partitions.min(logs.len());
        let mut world = World::new(&setting.definition, setting.cell_budget, &logs, setting.processes, partitions);
        for step in &steps {
            world.take(step)?;
        }
        world.finish()?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// After every single record: with what it closed committed, and with that lost.
    #[test]
    fn a_crash_at_any_record_changes_nothing(setting in setting(), logs in prop::collection::vec(log(), 1..4)) {
        let logs = setting.placed(&logs);
        let total: usize = logs.iter().map(Vec::len).sum();
        for (crash_at, committed) in (0..=total).flat_map(|at| [(at, false), (at, true)]) {
            let mut world = World::new(&setting.definition, setting.cell_budget, &logs, 1, logs.len());
            for count in 0..crash_at {
                world.read(count % logs.len())?;
                if count % 7 == 6 {
                    world.commit(0);
                }
            }
            if committed {
                world.commit(0);
            }
            world.take(&Step::Crash(0))?;
            world.finish()?;
        }
    }

    #[test]
    fn a_crash_and_restart_after_every_record_changes_nothing(setting in setting(), logs in prop::collection::vec(log(), 1..4)) {
        let logs = setting.placed(&logs);
        let mut world = World::new(&setting.definition, setting.cell_budget, &logs, 1, logs.len());
        for step in 0..logs.iter().map(Vec::len).sum::<usize>() * 2 {
            // Each life reads again what the one before could not let go of, then one more.
            let partition = step % logs.len();
            let new = world.sink.commits.get(&(partition as i32)).map_or(0, |commit| commit.progress.position);
            while world.processes[0].engine.replaying() {
                let mut moved = false;
                for partition in 0..logs.len() {
                    moved |= !world.processes[0].engine.should_wait(partition as i32) && world.read(partition)?;
                }
                prop_assert!(moved, "the replay does not end");
            }
            while world.processes[0].next[&(partition as i32)] <= new && world.read(partition)? {}
            world.commit(0);
            world.take(&Step::Crash(0))?;
        }
        world.finish()?;
    }
}
