//! Segment files: the interactions of one imported piece of a source, by column, never changed once written.
//!
//! A file begins with [`MAGIC`] and the format's number. Blocks of up to [`BLOCK_ROWS`] rows follow, each with the ids that
//! it is the first to use, so that neither writer nor reader ever holds more than one block of rows; and with as many order
//! lines that were not bought after all, which are no rows but may take back rows of earlier sources. A block of neither ends
//! the file and says how many rows there were. The file is named by its digest, which every reading checks.

use std::collections::HashMap;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use foldhash::fast::RandomState;
use souk_common::ids::{Digest, Digester};
use souk_common::storage::disk::{Access, Disk, DiskFile, folder_of};

use crate::data::interaction::{Interaction, Kind, OrderKey, Sink};

/// One stored interaction; `user` and `item` count the distinct ids of its segment, in the order of their first use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StoredRow {
    pub(crate) user: u32,
    pub(crate) item: u32,
    pub(crate) time: i64,
    pub(crate) kind: Kind,
    pub(crate) quantity: f32,
    pub(crate) price: Option<f32>,
    pub(crate) order: Option<OrderKey>,
}

/// What takes a segment as it is read: each id before the first row that uses it.
pub(crate) trait SegmentVisitor {
    fn user(&mut self, id: &str);
    fn item(&mut self, id: &str);
    fn row(&mut self, row: StoredRow);
    /// A line of an order that was not bought after all.
    fn not_bought(&mut self, order: OrderKey, item: &str);
}

/// A segment that is being written aside.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    file: BufWriter<DigestedFile>,
    aside: PathBuf,
    users: Ids,
    items: Ids,
    block: Block,
    rows: u64,
    not_bought: u64,
}

impl SegmentWriter {
    /// Begins one in the file `aside`, in the place of whatever is there.
    pub(crate) fn begin(disk: &dyn Disk, aside: &Path) -> io::Result<Self> {
        let file = DigestedFile {
            file: disk.open(aside, Access::Write)?,
            digester: Digester::default(),
        };
        let mut file = BufWriter::with_capacity(BUFFER_BYTES, file);
        file.write_all(MAGIC)?;
        file.write_all(&FORMAT.to_le_bytes())?;
        Ok(Self {
            file,
            aside: aside.to_owned(),
            users: Ids::default(),
            items: Ids::default(),
            block: Block::default(),
            rows: 0,
            not_bought: 0,
        })
    }

    /// Whether it says nothing so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows + self.not_bought == 0
    }

    /// Ends it: its bytes are durable and it has its name, that of its digest, in the same folder. The folder is synchronised
    /// by whoever names the segment in the manifest.
    pub(crate) fn finish(mut self, disk: &dyn Disk) -> io::Result<Digest> {
        self.write_block()?;
        self.file.write_all(&[0; 8])?;
        self.file.write_all(&self.rows.to_le_bytes())?;
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.file.sync()?;
        let digest = file.digester.finish();
        drop(file);
        disk.rename(&self.aside, &segment_path(folder_of(&self.aside), &digest))?;
        Ok(digest)
    }

    fn write_block(&mut self) -> io::Result<()> {
        let block = &mut self.block;
        let rows = block.users.len();
        if rows + block.not_bought.len() == 0 {
            return Ok(());
        }
        self.file.write_all(&(rows as u32).to_le_bytes())?;
        self.file
            .write_all(&(block.not_bought.len() as u32).to_le_bytes())?;
        for ids in [&mut self.users, &mut self.items] {
            self.file.write_all(&ids.new.to_le_bytes())?;
            self.file.write_all(&ids.bytes)?;
            (ids.new, ids.bytes) = (0, std::mem::take(&mut ids.bytes));
            ids.bytes.clear();
        }
        write_column(&mut self.file, &block.users, u32::to_le_bytes)?;
        write_column(&mut self.file, &block.items, u32::to_le_bytes)?;
        write_column(&mut self.file, &block.times, i64::to_le_bytes)?;
        write_column(&mut self.file, &block.kinds, |kind| [kind])?;
        write_column(&mut self.file, &block.quantities, u32::to_le_bytes)?;
        write_column(&mut self.file, &block.prices, u32::to_le_bytes)?;
        write_column(&mut self.file, &block.orders, u64::to_le_bytes)?;
        write_column(&mut self.file, &block.not_bought, u64::to_le_bytes)?;
        self.file.write_all(&block.not_bought_items)?;
        block.clear();
        Ok(())
    }
}

impl Sink for SegmentWriter {
    fn take(&mut self, interaction: &Interaction<'_>) -> io::Result<()> {
        let (user, item) = (
            self.users.intern(interaction.user)?,
            self.items.intern(interaction.item)?,
        );
        let block = &mut self.block;
        block.users.push(user);
        block.items.push(item);
        block.times.push(interaction.time);
        block.kinds.push(code_of(interaction.kind));
        block.quantities.push(interaction.quantity.to_bits());
        block.prices.push(interaction.price.unwrap_or(f32::NAN).to_bits());
        block.orders.push(OrderKey::to_bits(interaction.order));
        self.rows += 1;
        if block.users.len() == BLOCK_ROWS {
            self.write_block()?;
        }
        Ok(())
    }

    fn take_not_bought(&mut self, order: OrderKey, item: &str) -> io::Result<()> {
        write_id(&mut self.block.not_bought_items, item)?;
        self.block.not_bought.push(OrderKey::to_bits(Some(order)));
        self.not_bought += 1;
        if self.block.not_bought.len() == BLOCK_ROWS {
            self.write_block()?;
        }
        Ok(())
    }
}

/// Numbers for ids, and the bytes of those that the current block is the first to use.
#[derive(Debug, Default)]
struct Ids {
    numbers: HashMap<Box<str>, u32, RandomState>,
    new: u32,
    bytes: Vec<u8>,
}

impl Ids {
    fn intern(&mut self, id: &str) -> io::Result<u32> {
        if let Some(known) = self.numbers.get(id) {
            return Ok(*known);
        }
        let number =
            u32::try_from(self.numbers.len()).map_err(|_| damaged("there are over 4 billion ids"))?;
        write_id(&mut self.bytes, id)?;
        self.numbers.insert(id.into(), number);
        self.new += 1;
        Ok(number)
    }
}

fn write_id(into: &mut Vec<u8>, id: &str) -> io::Result<()> {
    let length = u16::try_from(id.len()).map_err(|_| damaged("an id is longer than 65,535 bytes"))?;
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(id.as_bytes());
    Ok(())
}

/// Rows of one block, by column; quantities and prices as bits, no price as not a number, no order as 0. And lines of orders
/// that were not bought, with their items as they are written.
#[derive(Debug, Default)]
struct Block {
    users: Vec<u32>,
    items: Vec<u32>,
    times: Vec<i64>,
    kinds: Vec<u8>,
    quantities: Vec<u32>,
    prices: Vec<u32>,
    orders: Vec<u64>,
    not_bought: Vec<u64>,
    not_bought_items: Vec<u8>,
}

impl Block {
    fn clear(&mut self) {
        self.users.clear();
        self.items.clear();
        self.times.clear();
        self.kinds.clear();
        self.quantities.clear();
        self.prices.clear();
        self.orders.clear();
        self.not_bought.clear();
        self.not_bought_items.clear();
    }
}

/// A column: all its values, or, where they are the same, one; of no rows, nothing but that.
fn write_column<T: Copy + PartialEq, const N: usize>(
    file: &mut impl Write,
    values: &[T],
    bytes: impl Fn(T) -> [u8; N],
) -> io::Result<()> {
    let is_constant = values.windows(2).all(|pair| pair[0] == pair[1]) && !values.is_empty();
    file.write_all(&[u8::from(!is_constant)])?;
    let written = if is_constant { &values[..1] } else { values };
    written
        .iter()
        .try_for_each(|value| file.write_all(&bytes(*value)))
}

/// Where the segment of this digest is, in the store's folder.
pub(crate) fn segment_path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join(format!("{digest}.{SEGMENT_ENDING}"))
}

/// Reads the segment at `path`, which must have this digest. Until it returns, what the visitor was given is not checked.
pub(crate) fn read_segment(
    disk: &dyn Disk,
    path: &Path,
    digest: &Digest,
    visitor: &mut impl SegmentVisitor,
) -> io::Result<u64> {
    let file = DigestedFile {
        file: disk.open(path, Access::Read)?,
        digester: Digester::default(),
    };
    let mut file = BufReader::with_capacity(BUFFER_BYTES, file);
    let rows = read_blocks(&mut file, visitor)?;
    // Nothing follows the last block; whatever does is in the digest.
    io::copy(&mut file, &mut io::sink())?;
    match file.into_inner().digester.finish() == *digest {
        true => Ok(rows),
        false => Err(damaged("its bytes are not those that it is named by")),
    }
}

/// Whether the segment at `path` has the bytes that it is named by.
pub(crate) fn verify_segment(disk: &dyn Disk, path: &Path, digest: &Digest) -> io::Result<()> {
    let mut file = DigestedFile {
        file: disk.open(path, Access::Read)?,
        digester: Digester::default(),
    };
    io::copy(&mut file, &mut io::sink())?;
    match file.digester.finish() == *digest {
        true => Ok(()),
        false => Err(damaged("its bytes are not those that it is named by")),
    }
}

fn read_blocks(file: &mut impl Read, visitor: &mut impl SegmentVisitor) -> io::Result<u64> {
    if read_array::<8>(file)? != *MAGIC {
        return Err(damaged("it does not begin as a segment does"));
    }
    let format = u32::from_le_bytes(read_array(file)?);
    if !(ORDERLESS..=FORMAT).contains(&format) {
        return Err(damaged(&format!(
            "it has format {format} and this program reads formats {ORDERLESS} to {FORMAT}"
        )));
    }
    let (mut users, mut items, mut read) = (0u32, 0u32, 0u64);
    let mut id = Vec::new();
    loop {
        let rows = u32::from_le_bytes(read_array(file)?) as usize;
        let not_bought = match format {
            ORDERLESS => 0,
            _ => u32::from_le_bytes(read_array(file)?) as usize,
        };
        if rows + not_bought == 0 {
            let said = u64::from_le_bytes(read_array(file)?);
            return match said == read {
                true => Ok(read),
                false => Err(damaged("rows are missing")),
            };
        }
        if rows.max(not_bought) > BLOCK_ROWS {
            return Err(damaged("a block is too long"));
        }
        users = users.saturating_add(read_ids(file, rows, &mut id, |id| visitor.user(id))?);
        items = items.saturating_add(read_ids(file, rows, &mut id, |id| visitor.item(id))?);
        let user = read_column(file, rows, u32::from_le_bytes)?;
        let item = read_column(file, rows, u32::from_le_bytes)?;
        let time = read_column(file, rows, i64::from_le_bytes)?;
        let kind = read_column(file, rows, |[kind]| kind)?;
        let quantity = read_column(file, rows, f32::from_le_bytes)?;
        let price = read_column(file, rows, f32::from_le_bytes)?;
        let order = match format {
            ORDERLESS => vec![0; rows],
            _ => read_column(file, rows, u64::from_le_bytes)?,
        };
        for row in 0..rows {
            if user[row] >= users || item[row] >= items {
                return Err(damaged("a row names an id that is not there"));
            }
            visitor.row(StoredRow {
                user: user[row],
                item: item[row],
                time: time[row],
                kind: kind_of(kind[row]).ok_or_else(|| damaged("a row is of no kind"))?,
                quantity: quantity[row],
                price: Some(price[row]).filter(|price| !price.is_nan()),
                order: OrderKey::from_bits(order[row]),
            });
        }
        if format != ORDERLESS {
            for order in read_column(file, not_bought, u64::from_le_bytes)? {
                let order = OrderKey::from_bits(order).ok_or_else(|| damaged("a line is of no order"))?;
                read_id(file, &mut id, |item| visitor.not_bought(order, item))?;
            }
        }
        read += rows as u64;
    }
}

fn read_ids(
    file: &mut impl Read,
    most: usize,
    id: &mut Vec<u8>,
    mut take: impl FnMut(&str),
) -> io::Result<u32> {
    let many = u32::from_le_bytes(read_array(file)?);
    if many as usize > most {
        return Err(damaged("a block has more ids than rows"));
    }
    for _ in 0..many {
        read_id(file, id, &mut take)?;
    }
    Ok(many)
}

fn read_id(file: &mut impl Read, id: &mut Vec<u8>, take: impl FnOnce(&str)) -> io::Result<()> {
    id.resize(usize::from(u16::from_le_bytes(read_array(file)?)), 0);
    file.read_exact(id).map_err(too_early)?;
    take(std::str::from_utf8(id).map_err(|_| damaged("an id is no text"))?);
    Ok(())
}

fn read_column<T: Clone, const N: usize>(
    file: &mut impl Read,
    rows: usize,
    value: impl Fn([u8; N]) -> T,
) -> io::Result<Vec<T>> {
    match read_array(file)? {
        [0] => Ok(vec![value(read_array(file)?); rows]),
        [1] => (0..rows).map(|_| Ok(value(read_array(file)?))).collect(),
        _ => Err(damaged("a column is written in an unknown way")),
    }
}

fn read_array<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes).map_err(too_early)?;
    Ok(bytes)
}

fn too_early(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it ends too early"),
        _ => error,
    }
}

fn damaged(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

fn code_of(kind: Kind) -> u8 {
    match kind {
        Kind::Purchase => 0,
        Kind::Return => 1,
        Kind::View => 2,
        Kind::Cart => 3,
        Kind::Rated => 4,
        Kind::Shown => 5,
        Kind::Clicked => 6,
    }
}

fn kind_of(code: u8) -> Option<Kind> {
    [
        Kind::Purchase,
        Kind::Return,
        Kind::View,
        Kind::Cart,
        Kind::Rated,
        Kind::Shown,
        Kind::Clicked,
    ]
    .get(usize::from(code))
    .copied()
}

/// A file with the digest of what has gone through it.
#[derive(Debug)]
struct DigestedFile {
    file: Box<dyn DiskFile>,
    digester: Digester,
}

impl Write for DigestedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digester.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Read for DigestedFile {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(bytes)?;
        self.digester.update(&bytes[..read]);
        Ok(read)
    }
}

/// What the names of segment files end with.
pub(crate) const SEGMENT_ENDING: &str = "segment";
const MAGIC: &[u8; 8] = b"SOUKROWS";
const FORMAT: u32 = 2;
/// The format that knew of no orders.
const ORDERLESS: u32 = 1;
/// Most rows of a block: 800 kB of columns.
const BLOCK_ROWS: usize = 1 << 15;
const BUFFER_BYTES: usize = 1 << 18;
