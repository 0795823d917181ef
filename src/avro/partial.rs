//! A datum taken apart value by value, as far as it goes: for a person who wants to know where it breaks.
//!
//! Bounded, whatever the bytes and the schema say: in depth, in values looked at, in values told, and in the length of each.

use apache_avro::Schema;
use apache_avro::schema::RecordSchema;

use super::cursor::{Cursor, DecodeError};
use super::scalar::Scalar;
use super::schema::{self, Leaf, PlanError, Types, describe, leaf};

/// How deep values may be nested.
const DEPTH_MAX: usize = 64;
/// So many values, records and items are looked at.
const VALUES_MAX: u32 = 100_000;
/// So many of them are told.
const TOLD_MAX: usize = 200;
/// So many characters of a text, or bytes, are told.
const TEXT_MAX: usize = 100;

/// A datum as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// The full name of the record's schema.
    pub name: String,
    /// The first values, in the order of the datum.
    pub values: Vec<Seen>,
    /// How many more were read, and are not told.
    pub left_out: u32,
    /// How it ended.
    pub ending: Ending,
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Where it begins: bytes from the datum's begin.
    pub offset: usize,
    /// Its dotted path; `[0]` is the first item of an array, `["a"]` one of a map.
    pub path: String,
    /// Its type.
    pub kind: String,
    /// As a person reads it, on one line and cut short.
    pub value: String,
}

/// How reading ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All of the datum is in order.
    Whole,
    /// It is broken.
    Broken {
        /// Where the value that cannot be read begins: bytes from the datum's begin.
        offset: usize,
        /// The path of that value; empty behind the record.
        path: String,
        /// Its type.
        kind: String,
        /// What is wrong there.
        error: DecodeError,
    },
    /// It has more values than are looked at.
    Endless {
        /// Where reading was given up: bytes from the datum's begin.
        offset: usize,
    },
}

/// Takes a datum (without the wire header) apart by the schema (JSON) that it was written with.
pub fn partial(writer_schema: &str, datum: &[u8]) -> Result<Partial, PlanError> {
    let schema = schema::parse(writer_schema)?;
    let types = Types::of(&schema);
    take_apart(&types, types.root_record()?, datum)
}

/// The same with a schema that is parsed already.
pub(super) fn take_apart(types: &Types<'_>, root: &RecordSchema, datum: &[u8]) -> Result<Partial, PlanError> {
    let (path, values) = (String::new(), Vec::new());
    let mut walk = Walk { types, datum, input: Cursor::new(datum), path, values, read: 0, looked_at: 0 };
    let stopped = walk.record(root, DEPTH_MAX);
    let ending = match stopped.err() {
        None => match walk.input.end() {
            Ok(()) => Ending::Whole,
            Err(error) => {
                let (offset, left) = (walk.offset(), walk.input.remaining());
                Ending::Broken { offset, path: String::new(), kind: format!("{left} bytes"), error }
            }
        },
        Some(Stop::Broken { offset, kind, error }) => Ending::Broken { offset, path: walk.path, kind, error },
        Some(Stop::Endless) => Ending::Endless { offset: walk.offset() },
        Some(Stop::Schema(error)) => return Err(error),
    };
    let left_out = walk.read.saturating_sub(u32::try_from(walk.values.len()).unwrap_or(u32::MAX));
    Ok(Partial { name: root.name.fullname(None), values: walk.values, left_out, ending })
}

/// Why there is no going on.
enum Stop {
    Broken { offset: usize, kind: String, error: DecodeError },
    Endless,
    Schema(PlanError),
}

impl From<PlanError> for Stop {
    fn from(error: PlanError) -> Self {
        Self::Schema(error)
    }
}

struct Walk<'a, 's> {
    types: &'a Types<'s>,
    datum: &'a [u8],
    input: Cursor<'a>,
    /// Of the value that is being read; where reading stops it stays as it is.
    path: String,
    values: Vec<Seen>,
    /// Values that were read.
    read: u32,
    looked_at: u32,
}

impl<'s> Walk<'_, 's> {
    fn offset(&self) -> usize {
        self.datum.len() - self.input.remaining()
    }

    fn record(&mut self, record: &'s RecordSchema, depth: usize) -> Result<(), Stop> {
        for field in &record.fields {
            let dot = if self.path.is_empty() { "" } else { "." };
            self.below(&format!("{dot}{}", field.name), |walk| walk.value(&field.schema, depth))?;
        }
        Ok(())
    }

    fn below(&mut self, step: &str, read: impl FnOnce(&mut Self) -> Result<(), Stop>) -> Result<(), Stop> {
        let len = self.path.len();
        self.path.push_str(step);
        read(self)?;
        self.path.truncate(len);
        Ok(())
    }

    /// A step of reading, with where it began and at what should an error occur.
    fn step<T>(&mut self, schema: &Schema, read: impl FnOnce(&mut Self) -> Result<T, DecodeError>) -> Result<T, Stop> {
        let offset = self.offset();
        read(self).map_err(|error| Stop::Broken { offset, kind: describe(schema), error })
    }

    /// Records and items count too: they may have no bytes, and many of them would take for ever.
    fn look(&mut self) -> Result<(), Stop> {
        self.looked_at += 1;
        if self.looked_at > VALUES_MAX { Err(Stop::Endless) } else { Ok(()) }
    }

    fn value(&mut self, schema: &'s Schema, depth: usize) -> Result<(), Stop> {
        let schema = self.types.resolve(schema)?;
        let depth = self.step(schema, |_| depth.checked_sub(1).ok_or(DecodeError::TooDeep))?;
        match schema {
            Schema::Record(record) => {
                self.look()?;
                self.record(record, depth)
            }
            Schema::Union(union) => {
                let branch = self.step(schema, |walk| walk.input.branch(union.variants()))?;
                self.value(branch, depth)
            }
            Schema::Array(array) => {
                self.blocks(schema, |walk, index| walk.below(&format!("[{index}]"), |walk| walk.value(&array.items, depth)))
            }
            Schema::Map(map) => self.blocks(schema, |walk, _| {
                let key = walk.step(schema, |walk| walk.input.bytes())?;
                walk.below(&format!("[{}]", text(&String::from_utf8_lossy(key))), |walk| walk.value(&map.types, depth))
            }),
            flat => self.leaf(flat),
        }
    }

    fn blocks(&mut self, schema: &'s Schema, mut item: impl FnMut(&mut Self, u64) -> Result<(), Stop>) -> Result<(), Stop> {
        let mut index = 0;
        loop {
            let count = self.step(schema, |walk| walk.input.long())?;
            let (begin, size) = (self.offset(), if count < 0 { Some(self.block_size(schema)?) } else { None });
            let first = self.offset();
            for _ in 0..count.unsigned_abs() {
                self.look()?;
                item(self, index)?;
                index += 1;
            }
            if size.is_some_and(|size| self.offset() - first != size) {
                return Err(Stop::Broken { offset: begin, kind: describe(schema), error: DecodeError::BadLength });
            }
            if count == 0 {
                return Ok(());
            }
        }
    }

    /// What follows a negative count, for who goes past the block.
    fn block_size(&mut self, schema: &Schema) -> Result<usize, Stop> {
        self.step(schema, |walk| {
            let size = usize::try_from(walk.input.long()?).ok();
            size.filter(|size| *size <= walk.input.remaining()).ok_or(DecodeError::BadLength)
        })
    }

    fn leaf(&mut self, schema: &'s Schema) -> Result<(), Stop> {
        let Some((leaf, kind)) = leaf(schema) else { return Ok(()) };
        self.look()?;
        let (offset, mut slot) = (self.offset(), Scalar::Null);
        let mut input = Cursor::new(&self.datum[offset..]);
        let read = leaf.read(&mut input, &mut slot);
        read.map_err(|error| Stop::Broken { offset, kind: kind.to_string(), error })?;
        self.read += 1;
        if self.values.len() < TOLD_MAX {
            let value = told(&leaf, &slot);
            self.values.push(Seen { offset, path: self.path.clone(), kind: kind.to_string(), value });
        }
        let rest = input.remaining();
        self.input = Cursor::new(&self.datum[self.datum.len() - rest..]);
        Ok(())
    }
}

fn told(leaf: &Leaf, value: &Scalar<'_>) -> String {
    match value {
        Scalar::Str(symbol) if matches!(leaf, Leaf::Enum(_)) => (*symbol).to_owned(),
        Scalar::Str(string) => text(string),
        Scalar::Bytes(bytes) if bytes.len() > TEXT_MAX => {
            format!("{}... ({} bytes)", Scalar::Bytes(&bytes[..TEXT_MAX]), bytes.len())
        }
        other => other.to_string(),
    }
}

/// In quotes, its control characters made visible: it may have been written to harm a terminal.
fn text(string: &str) -> String {
    match string.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{:?}... ({} bytes)", &string[..end], string.len()),
        None => format!("{string:?}"),
    }
}

#[cfg(test)]
mod tests;
