//! Framing, plans and the partial decoder against bytes that nobody meant: a million inputs, or as many as `FUZZ_INPUTS` says
//! (`FUZZ_SEED` begins elsewhere).

use std::time::{Duration, Instant};

use apache_avro::Schema;

use super::encode;
use super::partial::{Ending, take_apart};
use super::plan::Plan;
use super::scalar::Scalar;
use super::schema::{Leaf, Types, leaf};
use super::testing::SALES;
use super::wire;

/// No input takes longer, however busy the machine is.
const LIMIT: Duration = Duration::from_secs(2);
/// What the partial decoder may tell of one input, in bytes.
const TOLD_MAX: usize = 200_000;
const VALID: usize = 64;

const SEVEN: &str = r#"{"type":"record","name":"Order","fields":[
    {"name":"order_id","type":"string"},{"name":"customer","type":["null","string"]},
    {"name":"status","type":{"type":"enum","name":"Status","symbols":["NEW","PAID","SENT"]}},
    {"name":"amount","type":["null","double"]},{"name":"quantity","type":"int"},{"name":"note","type":["null","string"]},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;

const TWENTY: &str = r#"{"type":"record","name":"Wide","fields":[
    {"name":"a","type":"boolean"},{"name":"b","type":"int"},{"name":"c","type":"long"},{"name":"d","type":"float"},
    {"name":"e","type":"double"},{"name":"f","type":"bytes"},{"name":"g","type":"string"},
    {"name":"h","type":{"type":"fixed","name":"F","size":7}},{"name":"i","type":{"type":"enum","name":"E","symbols":["U","V"]}},
    {"name":"j","type":{"type":"bytes","logicalType":"decimal","precision":30,"scale":3}},
    {"name":"k","type":{"type":"fixed","name":"D","size":12,"logicalType":"decimal","precision":20,"scale":2}},
    {"name":"l","type":["null","long","string",{"type":"array","items":"null"},"D"]},
    {"name":"m","type":{"type":"map","values":["null","double"]}},
    {"name":"n","type":{"type":"array","items":{"type":"record","name":"Item","fields":[
        {"name":"id","type":"long"},{"name":"tags","type":{"type":"map","values":{"type":"array","items":"string"}}}]}}},
    {"name":"o","type":["null",{"type":"record","name":"Customer","fields":[
        {"name":"name","type":"string"},{"name":"home","type":{"type":"record","name":"Home","fields":[
            {"name":"country","type":["string","null"]},{"name":"at","type":{"type":"array","items":"double"}}]}}]}]},
    {"name":"p","type":{"type":"record","name":"List","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","List"]}]}},
    {"name":"q","type":["int"]},{"name":"r","type":{"type":"array","items":"F"}},
    {"name":"s","type":["null",{"type":"array","items":["null","Item"]}]},{"name":"t","type":"long"}]}"#;

const NEWEST: &str =
    r#"{"type":"record","name":"Wide","fields":[{"name":"t","type":"long"},{"name":"u","type":"string","default":"x"}]}"#;

/// splitmix64: <https://prng.di.unimi.it/splitmix64.c>.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// A valid datum of a type.
fn write(types: &Types<'_>, schema: &Schema, depth: usize, random: &mut Random, out: &mut Vec<u8>) {
    let few = if depth > 5 { 0 } else { random.below(4) };
    match types.resolve(schema).unwrap() {
        Schema::Record(record) => record.fields.iter().for_each(|field| write(types, &field.schema, depth + 1, random, out)),
        Schema::Union(union) => {
            let branch = if depth > 5 { 0 } else { random.below(union.variants().len()) };
            encode::branch(branch, out);
            write(types, &union.variants()[branch], depth + 1, random, out);
        }
        Schema::Array(array) => blocks(few, random, out, |random, out| write(types, &array.items, depth + 1, random, out)),
        Schema::Map(map) => blocks(few, random, out, |random, out| {
            encode::string("key", out);
            write(types, &map.types, depth + 1, random, out);
        }),
        flat => write_leaf(&leaf(flat).unwrap().0, random, out),
    }
}

fn blocks(count: usize, random: &mut Random, out: &mut Vec<u8>, mut item: impl FnMut(&mut Random, &mut Vec<u8>)) {
    let mut block = Vec::new();
    (0..count).for_each(|_| item(random, &mut block));
    if count > 0 && random.below(2) == 0 {
        encode::long(-(count as i64), out);
        encode::bytes(&block, out);
    } else if count > 0 {
        encode::long(count as i64, out);
        out.extend(block);
    }
    encode::long(0, out);
}

fn write_leaf(leaf: &Leaf, random: &mut Random, out: &mut Vec<u8>) {
    let number = random.next().cast_signed() >> random.below(64);
    match leaf {
        Leaf::Null => {}
        Leaf::Bool => encode::boolean(number & 1 == 1, out),
        Leaf::Int => encode::long(number >> 32, out),
        Leaf::Long => encode::long(number, out),
        Leaf::Float => encode::float(number as f32, out),
        Leaf::Double => encode::double(number as f64, out),
        Leaf::Str => encode::string(&"aé\u{1b}"[..[0, 1, 3, 4][random.below(4)]], out),
        Leaf::Bytes | Leaf::Decimal { size: None, .. } => encode::bytes(&number.to_be_bytes()[..random.below(9)], out),
        Leaf::Fixed(size) | Leaf::Decimal { size: Some(size), .. } => (0..*size).for_each(|_| out.push(random.next() as u8)),
        Leaf::Enum(symbols) => encode::branch(random.below(symbols.len()), out),
    }
}

/// Random bytes, or valid data as they are, flipped, cut, spliced, or with a number that is far too large.
fn damage(valid: &[Vec<u8>], random: &mut Random, out: &mut Vec<u8>) -> bool {
    out.clear();
    let (kind, datum) = (random.below(6), &valid[random.below(valid.len())]);
    match kind {
        0 => {
            let begin = [0, 5][random.below(2)];
            out.extend(&datum[..begin.min(datum.len())]);
            (0..random.below(64)).for_each(|_| out.push(random.next() as u8));
        }
        1 => {
            out.extend(datum);
            (0..=random.below(8)).for_each(|_| {
                let at = random.below(out.len());
                out[at] ^= 1 << random.below(8);
            });
        }
        2 => out.extend(&datum[..random.below(datum.len())]),
        3 => {
            let other = &valid[random.below(valid.len())];
            out.extend(&datum[..random.below(datum.len())]);
            out.extend(&other[random.below(other.len())..]);
        }
        4 => {
            let at = random.below(datum.len());
            out.extend(&datum[..at]);
            encode::long(random.next().cast_signed() >> random.below(64), out);
            out.extend(&datum[at..]);
        }
        _ => out.extend(datum),
    }
    kind == 5
}

struct Target {
    schema: Schema,
    plans: Vec<Plan>,
    valid: Vec<Vec<u8>>,
}

fn target(json: &str, wanted: &[&str], random: &mut Random) -> Target {
    let schema = Schema::parse_str(json).unwrap();
    let mut plans = vec![Plan::compile(json, wanted).unwrap(), Plan::compile::<&str>(json, &[]).unwrap()];
    if json == TWENTY {
        plans.push(Plan::resolve(json, NEWEST, &["u", "t"]).unwrap());
    }
    let types = Types::of(&schema);
    let valid = (0..VALID).map(|_| {
        let mut value = Vec::new();
        wire::frame(7, &mut value);
        write(&types, &schema, 0, random, &mut value);
        value
    });
    let valid = valid.collect();
    Target { schema, plans, valid }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// What became of an input.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Unframed,
    Whole,
    Broken,
    Endless,
}

/// Reads an input in every way; the text says what went wrong.
fn check(target: &Target, types: &Types<'_>, input: &[u8]) -> Result<Kind, String> {
    let Ok((_, datum)) = wire::split(input) else { return Ok(Kind::Unframed) };
    let partial = take_apart(types, types.root_record().unwrap(), datum).unwrap();
    let kind = match partial.ending {
        Ending::Whole => Kind::Whole,
        Ending::Broken { .. } => Kind::Broken,
        Ending::Endless { .. } => Kind::Endless,
    };
    for plan in &target.plans {
        let mut slots = [Scalar::Null; 20];
        let decoded = plan.decode(datum, &mut slots);
        if kind == Kind::Whole && decoded.is_err() {
            return Err(format!("{decoded:?}, though it is whole"));
        }
    }
    let told: usize = partial.values.iter().map(|seen| seen.path.len() + seen.value.len()).sum();
    if told > TOLD_MAX { Err(format!("{told} bytes told")) } else { Ok(kind) }
}

#[test]
fn no_input_panics_or_takes_for_ever() {
    let (inputs, seed) = (number("FUZZ_INPUTS", 1_000_000), number("FUZZ_SEED", 1));
    let mut random = Random(seed);
    let wide = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "o.home.country", "o.name", "p.v", "p.next.v", "q", "t"];
    let targets = [
        target(SALES, &["sale_ts", "store_id", "sale_amount"], &mut random),
        target(SEVEN, &["order_id", "customer", "status", "amount", "quantity", "note", "at"], &mut random),
        target(TWENTY, &wide, &mut random),
    ];
    let types: Vec<_> = targets.iter().map(|target| Types::of(&target.schema)).collect();
    let (mut input, mut seen, mut longest) = (Vec::new(), [0_u64; 4], Duration::ZERO);
    for count in 0..inputs {
        let place = random.below(targets.len());
        let is_valid = damage(&targets[place].valid, &mut random, &mut input);
        let begun = Instant::now();
        let kind = check(&targets[place], &types[place], &input);
        longest = longest.max(begun.elapsed());
        let kind = kind.unwrap_or_else(|wrong| panic!("seed {seed}, input {count}: {wrong}: {input:02x?}"));
        assert!(kind == Kind::Whole || !is_valid, "seed {seed}, input {count} is valid: {input:02x?}");
        assert!(longest < LIMIT, "seed {seed}, input {count}: {longest:?} for {input:02x?}");
        seen[kind as usize] += 1;
    }
    let [unframed, whole, broken, endless] = seen;
    println!(
        "{inputs} inputs: {unframed} unframed, {whole} whole, {broken} broken, {endless} endless; the longest took {longest:?}"
    );
    assert!(unframed > inputs / 100 && whole > inputs / 10 && broken > inputs / 10, "the inputs are of too few kinds");
}
