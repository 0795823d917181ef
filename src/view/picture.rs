//! All that is known of a pipeline file's topics, and the state that the page draws of it. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::drawing::Drawing;
use super::state::{Reading, State, Verdict};
use crate::config::Config;
use crate::follow::Takes;
use crate::proof::{Record, SHOWN, Stream, Told, schema_id};

/// The rate is that of so many milliseconds.
const RATE_MS: i64 = 10_000;
/// From so many events a second on, what falls to a tenth was a burst: a backlog, or a replay.
const BURST: f64 = 100.0;

/// An unknown schema id is asked for again after this time, as the aggregate does.
const ASK_AGAIN_MS: i64 = 30_000;

/// What the page is about.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The dashboard's title.
    pub title: String,
    /// Whether events are made up and the broker is in memory.
    pub demo: bool,
    /// Kafka's address.
    pub broker: String,
    /// The registry's address.
    pub registry: String,
}

/// The picture of a pipeline file.
#[derive(Debug)]
pub struct Picture {
    subject: Subject,
    streams: Vec<Stream>,
    drawings: Vec<Drawing>,
    /// The schema ids that are known, and until when (ms) the registry need not be asked again.
    known: BTreeMap<u32, i64>,
    events: u64,
    /// When it was, ms, and how many events there had been.
    ticks: VecDeque<(i64, u64)>,
}

impl Picture {
    /// A picture of which nothing was read yet.
    pub fn new(config: &Config, demo: bool, streams: Vec<Stream>) -> Self {
        let title = config.dashboard.as_ref().map_or_else(|| config.name.clone(), |dashboard| dashboard.title.clone());
        let (broker, registry) = (config.kafka.bootstrap_servers.clone(), config.registry.url.clone());
        Self {
            subject: Subject { title, demo, broker, registry },
            streams,
            drawings: Drawing::all(config),
            known: BTreeMap::new(),
            events: 0,
            ticks: VecDeque::new(),
        }
    }

    /// The topics to read.
    pub fn topics(&self) -> Vec<String> {
        let topics = self.streams.iter().flat_map(Stream::topics).chain(self.drawings.iter().map(|one| one.topic.as_str()));
        topics.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
    }

    /// How it all stands at this time; `level_ms`: all topics were read to where they ended at that time.
    pub fn state(&mut self, now_ms: i64, level_ms: Option<i64>, reading: Option<Reading>, trouble: Option<String>) -> State {
        let (mut equal, mut differing, mut waiting, mut left_out) = (0, 0, 0, 0);
        let mut differences: Vec<Told> = Vec::new();
        for stream in &mut self.streams {
            let judged = stream.judge(level_ms);
            (equal, differing) = (equal + judged.equal, differing + judged.differing);
            (waiting, left_out) = (waiting + judged.waiting, left_out + judged.left_out);
            differences.extend(judged.differences.iter().map(|difference| stream.describe(difference)));
        }
        differences.truncate(SHOWN);
        let verdict = match (equal, differing) {
            (_, 1..) => Verdict::Differs,
            (0, 0) => Verdict::Waiting,
            _ if reading.is_some() => Verdict::Waiting,
            _ => Verdict::Equal,
        };
        let put_aside = self.streams.iter().map(Stream::put_aside);
        let (late, dead_letters) = put_aside.fold((0, 0), |sums, one| (sums.0 + one.0, sums.1 + one.1));
        let open_from: Vec<_> = self.drawings.iter().map(|drawing| self.open_from(&drawing.topic, now_ms)).collect();
        let charts =
            self.drawings.iter_mut().zip(open_from).map(|(drawing, open_from)| drawing.draw(now_ms, open_from)).collect();
        let Subject { title, demo, broker, registry } = self.subject.clone();
        State {
            title,
            now: now_ms,
            demo,
            broker,
            registry,
            source: self.names(|stream| &stream.source),
            sink: self.names(|stream| &stream.sink),
            reading,
            events: self.events,
            rate: self.rate(now_ms, reading.is_some()),
            watermark: self.streams.iter().filter_map(|stream| stream.watermark(now_ms)).min(),
            open_windows: self.streams.iter().map(Stream::open_windows).sum(),
            late,
            dead_letters,
            cells: equal + differing,
            equal,
            verdict,
            waiting,
            left_out,
            differences,
            trouble: trouble.or_else(|| self.streams.iter().filter(|_| reading.is_none()).find_map(Stream::trouble)),
            charts,
        }
    }

    /// From when on events of a topic are still to come: `None` of a topic that is no source.
    fn open_from(&self, topic: &str, now_ms: i64) -> Option<i64> {
        let streams = self.streams.iter().filter(|stream| stream.source == topic);
        streams.filter_map(|stream| stream.closed_through(now_ms)).min()
    }

    fn names(&self, name: impl Fn(&Stream) -> &String) -> String {
        self.streams
            .iter()
            .map(|stream| name(stream).as_str())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Events a second since the history was read, without a burst that is over.
    fn rate(&mut self, now_ms: i64, reading: bool) -> f64 {
        let now = (now_ms, self.events);
        let last = self.ticks.back().map_or(0.0, |last| per_second(*last, now));
        let all = self.ticks.front().map_or(0.0, |first| per_second(*first, now));
        if reading || all > BURST && last < all / 10.0 {
            self.ticks.clear();
        }
        while self.ticks.len() > 1 && self.ticks.front().is_some_and(|(at_ms, _)| now_ms - at_ms > RATE_MS) {
            self.ticks.pop_front();
        }
        self.ticks.push_back(now);
        self.ticks.front().map_or(0.0, |first| per_second(*first, now))
    }
}

impl Takes for Picture {
    fn held(&self) -> Vec<String> {
        self.streams.iter().filter_map(Stream::held).map(str::to_owned).collect()
    }

    fn unknown(&self, record: &Record<'_>, now_ms: i64) -> Option<u32> {
        schema_id(record.value).filter(|id| self.known.get(id).is_none_or(|until_ms| *until_ms < now_ms))
    }

    fn learn(&mut self, id: u32, schema: Option<&str>, now_ms: i64) {
        self.known.insert(id, if schema.is_some() { i64::MAX } else { now_ms + ASK_AGAIN_MS });
        self.streams.iter_mut().for_each(|stream| stream.learn(id, schema));
        self.drawings.iter_mut().for_each(|drawing| drawing.learn(id, schema));
    }

    fn emptied(&mut self, topic: &str, now_ms: i64) {
        self.streams.iter_mut().for_each(|stream| stream.emptied(topic, now_ms));
    }

    fn take(&mut self, record: &Record<'_>, now_ms: i64) {
        self.events += u64::from(self.streams.iter().any(|stream| stream.source == record.topic));
        self.streams.iter_mut().for_each(|stream| stream.take(record, now_ms));
        self.drawings
            .iter_mut()
            .filter(|drawing| drawing.topic == record.topic)
            .for_each(|drawing| drawing.add(record.value, record.time_ms));
    }
}

/// Events a second between two times (ms), each with the number of events until then.
fn per_second(from: (i64, u64), to: (i64, u64)) -> f64 {
    if to.0 > from.0 { (to.1 - from.1) as f64 * 1_000.0 / (to.0 - from.0) as f64 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn a_burst_that_is_over_is_not_the_rate() {
        let config = config::load(Some(config::DEFAULT_FILE.as_ref()), &[]).unwrap();
        let mut picture = Picture::new(&config, true, Vec::new());
        let mut rate = |second: i64, events: u64, reading: bool| {
            picture.events = events;
            picture.rate(second * 1_000, reading).round() as u64
        };
        assert_eq!(rate(0, 0, true), 0);
        assert_eq!(rate(1, 7_200, false), 7_200);
        assert_eq!(rate(2, 7_201, false), 0);
        let live: Vec<u64> = (3..30).map(|second| rate(second, 7_199 + second as u64, false)).collect();
        assert!(live.iter().all(|rate| *rate == 1), "{live:?}");
    }
}
