//! One page of a file. Rows are found by the CSV parser, so line ends inside quotes are no rows; their text is then copied as it
//! stands.

use csv::{ByteRecord, Reader, ReaderBuilder};
use kennel_sdk::Error;
use tabular::chunk::{Account, Chunk};

use crate::Cursor;

/// An output may have 1 MiB; the rest is for what stands around the rows.
const PAGE_BYTES: usize = 960 << 10;

/// What a chunk takes beside its rows and header: names, numbers and an empty account.
const CHUNK_BYTES: usize = 512;

/// How large chunks and pages get.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) rows_per_chunk: u64,
    pub(crate) chunks_per_page: usize,
}

/// A file whose header has been read.
pub(crate) struct Source<'a> {
    bytes: &'a [u8],
    header: Vec<String>,
    /// Where the rows start.
    start: usize,
}

/// Rows on their way into a chunk.
struct Piece {
    from: usize,
    to: usize,
    rows: u64,
    bytes: usize,
}

impl<'a> Source<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        let skipped = if bytes.starts_with(b"\xef\xbb\xbf") {
            3
        } else {
            0
        };
        let mut reader = reader(&bytes[skipped..]);
        let mut record = ByteRecord::new();
        if !read(&mut reader, &mut record)? {
            return Err(Error::invalid_input(
                "the file is empty: give CSV with a header row",
            ));
        }
        let header: Vec<String> = record
            .iter()
            .map(|name| String::from_utf8_lossy(name).trim().to_owned())
            .collect();
        if let [only] = header.as_slice()
            && let Some(other) = only.chars().find(|c| [';', '\t', '|'].contains(c))
        {
            return Err(Error::invalid_input(format_args!(
                "the file seems to be separated by {other:?}: save it with commas"
            )));
        }
        let start = skipped + reader.position().byte() as usize;
        if is_blank(&bytes[start..]) {
            return Err(Error::invalid_input(
                "the file has a header and no row below it",
            ));
        }
        Ok(Self {
            bytes,
            header,
            start,
        })
    }

    /// The chunks from `cursor` on, and where the next page starts.
    pub(crate) fn page(
        &self,
        cursor: Option<Cursor>,
        limits: Limits,
    ) -> Result<(Vec<Chunk>, Option<Cursor>), Error> {
        let mut at = cursor.unwrap_or(Cursor {
            offset: self.start,
            chunk: 0,
            row: 0,
        });
        if !(self.start..self.bytes.len()).contains(&at.offset)
            || !self.bytes[..at.offset].ends_with(b"\n")
                && !self.bytes[..at.offset].ends_with(b"\r")
        {
            return Err(Error::invalid_input(format_args!(
                "input.cursor.offset {} is not where a row of this file starts: give back what the page before said in `next`",
                at.offset
            )));
        }
        let mut rows = Rows::new(self.bytes, at);
        let (mut chunks, mut size) = (Vec::new(), 0);
        while chunks.len() < limits.chunks_per_page {
            let room = PAGE_BYTES - CHUNK_BYTES - escaped(self.header.join("\",\"").as_bytes());
            let Some(piece) = rows.piece(limits.rows_per_chunk, room)? else {
                return Ok((chunks, None));
            };
            size += PAGE_BYTES - room + piece.bytes;
            if size > PAGE_BYTES && !chunks.is_empty() {
                break;
            }
            let last = is_blank(&self.bytes[piece.to..]);
            chunks.push(self.chunk(&piece, at, last));
            at = Cursor {
                offset: piece.to,
                chunk: at.chunk + 1,
                row: at.row + piece.rows,
            };
            if last {
                return Ok((chunks, None));
            }
        }
        Ok((chunks, Some(at)))
    }

    fn chunk(&self, piece: &Piece, at: Cursor, last: bool) -> Chunk {
        Chunk {
            index: at.chunk,
            last,
            first_row: at.row + 1,
            header: self.header.clone(),
            csv: String::from_utf8_lossy(&self.bytes[piece.from..piece.to])
                .trim_matches(['\r', '\n'])
                .to_owned(),
            account: Account {
                read: piece.rows,
                kept: piece.rows,
                ..Account::default()
            },
        }
    }
}

/// The rows of a file from somewhere on, with one that was read and did not fit any more.
struct Rows<'a> {
    bytes: &'a [u8],
    reader: Reader<&'a [u8]>,
    base: usize,
    at: Cursor,
    record: ByteRecord,
    waiting: Option<(usize, usize)>,
}

impl<'a> Rows<'a> {
    fn new(bytes: &'a [u8], at: Cursor) -> Self {
        Self {
            bytes,
            reader: reader(&bytes[at.offset..]),
            base: at.offset,
            at,
            record: ByteRecord::new(),
            waiting: None,
        }
    }

    /// Up to `count` rows that take up to `room` bytes in JSON; `None` at the end of the file.
    fn piece(&mut self, count: u64, room: usize) -> Result<Option<Piece>, Error> {
        let mut piece: Option<Piece> = None;
        while piece.as_ref().is_none_or(|piece| piece.rows < count) {
            let Some((from, to)) = self.row()? else {
                break;
            };
            let bytes = escaped(&self.bytes[from..to]);
            match &mut piece {
                None if bytes > room => {
                    return Err(Error::invalid_input(format_args!(
                        "row {} of the file, at byte {from}, has {} bytes, more than one page: is there a quote that is not closed?",
                        self.at.row + 1,
                        to - from
                    )));
                }
                None => {
                    piece = Some(Piece {
                        from,
                        to,
                        rows: 1,
                        bytes,
                    })
                }
                Some(piece) if piece.bytes + bytes > room => {
                    self.waiting = Some((from, to));
                    break;
                }
                Some(piece) => {
                    piece.to = to;
                    piece.rows += 1;
                    piece.bytes += bytes;
                }
            }
        }
        self.at.row += piece.as_ref().map_or(0, |piece| piece.rows);
        Ok(piece)
    }

    /// Where the next row starts and ends.
    fn row(&mut self) -> Result<Option<(usize, usize)>, Error> {
        if let Some(waiting) = self.waiting.take() {
            return Ok(Some(waiting));
        }
        let from = self.base + self.reader.position().byte() as usize;
        let found = read(&mut self.reader, &mut self.record)?;
        let to = self.base + self.reader.position().byte() as usize;
        Ok(found.then_some((from, to)))
    }
}

fn reader(bytes: &[u8]) -> Reader<&[u8]> {
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes)
}

fn read(reader: &mut Reader<&[u8]>, record: &mut ByteRecord) -> Result<bool, Error> {
    reader
        .read_byte_record(record)
        .map_err(|e| Error::invalid_input(format_args!("the file is no CSV: {e}")))
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| matches!(b, b'\r' | b'\n'))
}

/// How long bytes get as a JSON string; a byte that is no UTF-8 becomes three.
fn escaped(bytes: &[u8]) -> usize {
    let length = |&b: &u8| match b {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..0x20 => 6,
        0x80.. => 3,
        _ => 1,
    };
    bytes.iter().map(length).sum()
}
