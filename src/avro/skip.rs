//! Going past what nobody wants: structure only, nothing is allocated and no text is looked at.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::RecordSchema;

use super::cursor::{Cursor, DecodeError};
use super::schema::{Leaf, PlanError, Types, leaf};

/// How deep records, arrays and maps may be nested: far beyond any schema's need, and far within a thread's stack.
const DEPTH_MAX: u32 = 512;

/// The most items of no bytes in a block. Without it, ten bytes could ask for 2^63 of them.
const EMPTY_ITEMS_MAX: u64 = i32::MAX as u64;

/// How to go past a value.
#[derive(Debug, Clone)]
pub(super) enum Skip {
    /// So many bytes.
    Fixed(usize),
    /// A varint.
    Varint,
    /// A length and as many bytes.
    Bytes,
    /// The branch that the index in front says.
    Union(Box<[Skip]>),
    /// Blocks of items, each item being all of these: an array or a map.
    Blocks(Box<[Skip]>),
    /// A record, by its place in [`Skips`]: so that a type can contain itself.
    Record(usize),
}

/// The records that [`Skip::Record`] points at.
#[derive(Debug, Default)]
pub(super) struct Skips(Vec<Box<[Skip]>>);

impl Skips {
    /// Goes past one value.
    #[inline]
    pub fn run(&self, skip: &Skip, input: &mut Cursor<'_>) -> Result<(), DecodeError> {
        self.one(skip, input, DEPTH_MAX)
    }

    #[inline]
    fn one(&self, skip: &Skip, input: &mut Cursor<'_>, depth: u32) -> Result<(), DecodeError> {
        let skip = if let Skip::Union(branches) = skip { input.branch(branches)? } else { skip };
        match skip {
            Skip::Fixed(size) => input.take(*size).map(drop),
            Skip::Varint => input.varint().map(drop),
            Skip::Bytes => input.bytes().map(drop),
            Skip::Blocks(_) | Skip::Record(_) | Skip::Union(_) => self.nested(skip, input, depth),
        }
    }

    fn nested(&self, skip: &Skip, input: &mut Cursor<'_>, depth: u32) -> Result<(), DecodeError> {
        let depth = depth.checked_sub(1).ok_or(DecodeError::TooDeep)?;
        match skip {
            Skip::Blocks(item) => self.blocks(item, input, depth),
            Skip::Record(id) => self.all(&self.0[*id], input, depth),
            other => self.one(other, input, depth),
        }
    }

    fn all(&self, skips: &[Skip], input: &mut Cursor<'_>, depth: u32) -> Result<(), DecodeError> {
        skips.iter().try_for_each(|skip| self.one(skip, input, depth))
    }

    /// <https://avro.apache.org/docs/1.11.1/specification/#arrays-1>: a negative count is followed by the block's size in bytes.
    fn blocks(&self, item: &[Skip], input: &mut Cursor<'_>, depth: u32) -> Result<(), DecodeError> {
        loop {
            let count = input.long()?;
            match count {
                0 => return Ok(()),
                ..0 => {
                    let block = input.bytes()?;
                    least_size(item, count.unsigned_abs(), block.len())?;
                }
                1.. => self.items(item, count.unsigned_abs(), input, depth)?,
            }
        }
    }

    fn items(&self, item: &[Skip], count: u64, input: &mut Cursor<'_>, depth: u32) -> Result<(), DecodeError> {
        let size = least_size(item, count, input.remaining())?;
        match item {
            [] | [Skip::Fixed(_)] => input.take(size).map(drop),
            varying => (0..count).try_for_each(|_| self.all(varying, input, depth)),
        }
    }
}

/// The bytes that so many items take at least, if there are as many. So a loop over items ends with the data.
fn least_size(item: &[Skip], count: u64, available: usize) -> Result<usize, DecodeError> {
    let size = match item {
        [] => return if count <= EMPTY_ITEMS_MAX { Ok(0) } else { Err(DecodeError::BadLength) },
        [Skip::Fixed(size)] => *size,
        _ => 1,
    };
    let total = usize::try_from(count).ok().and_then(|count| count.checked_mul(size));
    total.filter(|total| *total <= available).ok_or(DecodeError::BadLength)
}

/// Adds a step to a sequence: steps of a fixed size are run together, those of no bytes left out.
fn push(sequence: &mut Vec<Skip>, skip: Skip) {
    match (sequence.last_mut(), skip) {
        (_, Skip::Fixed(0)) => {}
        (Some(Skip::Fixed(before)), Skip::Fixed(size)) => *before = before.saturating_add(size),
        (_, skip) => sequence.push(skip),
    }
}

/// Compiles skips; each named record once.
pub(super) struct SkipCompiler<'t, 's> {
    types: &'t Types<'s>,
    skips: Skips,
    done: HashMap<String, Skip>,
}

impl<'t, 's> SkipCompiler<'t, 's> {
    pub fn new(types: &'t Types<'s>) -> Self {
        Self { types, skips: Skips::default(), done: HashMap::new() }
    }

    pub fn finish(self) -> Skips {
        self.skips
    }

    pub fn skip(&mut self, schema: &'s Schema) -> Result<Skip, PlanError> {
        Ok(match self.types.resolve(schema)? {
            Schema::Array(array) => Skip::Blocks(self.sequence([&*array.items])?.into()),
            Schema::Map(map) => Skip::Blocks([vec![Skip::Bytes], self.sequence([&*map.types])?].concat().into()),
            Schema::Union(union) => {
                Skip::Union(union.variants().iter().map(|branch| self.skip(branch)).collect::<Result<_, _>>()?)
            }
            Schema::Record(record) => self.record(record)?,
            flat => flat_skip(flat),
        })
    }

    fn sequence(&mut self, schemas: impl IntoIterator<Item = &'s Schema>) -> Result<Vec<Skip>, PlanError> {
        let mut sequence = Vec::new();
        for schema in schemas {
            push(&mut sequence, self.skip(schema)?);
        }
        Ok(sequence)
    }

    fn record(&mut self, record: &'s RecordSchema) -> Result<Skip, PlanError> {
        let name = record.name.fullname(None);
        if let Some(skip) = self.done.get(&name) {
            return Ok(skip.clone());
        }
        let id = self.skips.0.len();
        self.skips.0.push(Box::default());
        self.done.insert(name.clone(), Skip::Record(id));
        let sequence = self.sequence(record.fields.iter().map(|field| &field.schema))?;
        let skip = match sequence[..] {
            [] => Skip::Fixed(0),
            [Skip::Fixed(size)] => Skip::Fixed(size),
            _ => Skip::Record(id),
        };
        self.skips.0[id] = sequence.into();
        self.done.insert(name, skip.clone());
        Ok(skip)
    }
}

fn flat_skip(schema: &Schema) -> Skip {
    match leaf(schema).map(|(leaf, _)| leaf) {
        Some(Leaf::Null) | None => Skip::Fixed(0),
        Some(Leaf::Bool) => Skip::Fixed(1),
        Some(Leaf::Float) => Skip::Fixed(4),
        Some(Leaf::Double) => Skip::Fixed(8),
        Some(Leaf::Int | Leaf::Long | Leaf::Enum(_)) => Skip::Varint,
        Some(Leaf::Fixed(size) | Leaf::Decimal { size: Some(size), .. }) => Skip::Fixed(size),
        Some(Leaf::Str | Leaf::Bytes | Leaf::Decimal { size: None, .. }) => Skip::Bytes,
    }
}
