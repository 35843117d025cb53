//! One page of a file. Rows are found by the CSV parser, so line ends inside quotes are no rows; their text is then copied as it
//! stands. Of a file only a window is read that holds the page, so a page takes as much memory at its end as at its beginning.

use std::borrow::Cow;

use csv::{ByteRecord, Reader, ReaderBuilder};
use kennel_sdk::{Content, Error};
use tabular::chunk::{Account, Chunk};

use crate::Cursor;

/// An output may have 1 MiB; the rest is for what stands around the rows.
const PAGE_BYTES: usize = 960 << 10;

/// What a chunk takes beside its rows and header: names, numbers and an empty account.
const CHUNK_BYTES: usize = 512;

/// What is read to find the header.
const HEAD: usize = 64 << 10;

/// What is read for a page. Its rows need no more, unless there are many empty lines between them.
pub(crate) const WINDOW: usize = PAGE_BYTES + (64 << 10);

/// Chunks, and where the next page starts.
type Page = (Vec<Chunk>, Option<Cursor>);

/// How large chunks and pages get.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) rows_per_chunk: u64,
    pub(crate) chunks_per_page: usize,
}

/// A file whose header has been read.
pub(crate) struct Source<'a> {
    file: &'a Content,
    header: Vec<String>,
    /// Where the rows start.
    start: usize,
}

/// A part of a file.
struct Window<'a> {
    bytes: Cow<'a, [u8]>,
    /// Where it stands in the file.
    from: usize,
    /// Whether the file ends where it does.
    ends: bool,
}

impl<'a> Window<'a> {
    fn of(file: &'a Content, from: usize, length: usize) -> Result<Self, Error> {
        let bytes = match file {
            Content::Text(text) => {
                let rest = text.as_bytes().get(from..).unwrap_or_default();
                Cow::Borrowed(&rest[..rest.len().min(length)])
            }
            Content::Blob(blob) => {
                blob.part(from as u64, u32::try_from(length).unwrap_or(u32::MAX))?
            }
        };
        let ends = bytes.len() < length;
        Ok(Self { bytes, from, ends })
    }

    /// The smallest of ever larger windows of which `look` can say something.
    fn enough<T>(
        file: &'a Content,
        from: usize,
        mut length: usize,
        mut look: impl FnMut(Self) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        loop {
            if let Some(seen) = look(Self::of(file, from, length)?)? {
                return Ok(seen);
            }
            length *= 2;
        }
    }

    /// Whether nothing but empty lines comes from `at` on; `None` when that is not to be seen in this window.
    fn is_blank_from(&self, at: usize) -> Option<bool> {
        let blank = |b: &u8| matches!(b, b'\r' | b'\n');
        let blank = self.bytes[at..].iter().all(blank);
        (!blank || self.ends).then_some(blank)
    }
}

/// Rows on their way into a chunk.
struct Piece {
    from: usize,
    to: usize,
    rows: u64,
    bytes: usize,
}

impl<'a> Source<'a> {
    pub(crate) fn new(file: &'a Content) -> Result<Self, Error> {
        let (header, start) = Window::enough(file, 0, HEAD, |window| head(&window))?;
        Ok(Self {
            file,
            header,
            start,
        })
    }

    /// The chunks from `cursor` on, and where the next page starts.
    pub(crate) fn page(&self, cursor: Option<Cursor>, limits: Limits) -> Result<Page, Error> {
        let at = cursor.unwrap_or(Cursor {
            offset: self.start,
            chunk: 0,
            row: 0,
        });
        let no_row = || {
            Error::invalid_input(format_args!(
                "input.cursor.offset {} is not where a row of this file starts: give back what the page before said in `next`",
                at.offset
            ))
        };
        if at.offset < self.start {
            return Err(no_row());
        }
        // The byte before tells whether a row may start here.
        Window::enough(self.file, at.offset - 1, WINDOW, |window| {
            match *window.bytes {
                [b'\n' | b'\r', _, ..] => self.page_in(&window, at, limits),
                _ => Err(no_row()),
            }
        })
    }

    /// The page that starts at the second byte of `window`; `None` when it goes on beyond it.
    fn page_in(
        &self,
        window: &Window<'_>,
        mut at: Cursor,
        limits: Limits,
    ) -> Result<Option<Page>, Error> {
        let mut rows = Rows::new(window, at);
        let (mut chunks, mut size) = (Vec::new(), 0);
        while chunks.len() < limits.chunks_per_page {
            let room = PAGE_BYTES - CHUNK_BYTES - escaped(self.header.join("\",\"").as_bytes());
            let piece = rows.piece(limits.rows_per_chunk, room)?;
            if rows.cut_off {
                return Ok(None);
            }
            let Some(piece) = piece else {
                return Ok(Some((chunks, None)));
            };
            size += PAGE_BYTES - room + piece.bytes;
            if size > PAGE_BYTES && !chunks.is_empty() {
                break;
            }
            let Some(last) = window.is_blank_from(piece.to) else {
                return Ok(None);
            };
            chunks.push(self.chunk(&window.bytes[piece.from..piece.to], &piece, at, last));
            at = Cursor {
                offset: window.from + piece.to,
                chunk: at.chunk + 1,
                row: at.row + piece.rows,
            };
            if last {
                return Ok(Some((chunks, None)));
            }
        }
        Ok(Some((chunks, Some(at))))
    }

    fn chunk(&self, text: &[u8], piece: &Piece, at: Cursor, last: bool) -> Chunk {
        Chunk {
            index: at.chunk,
            last,
            first_row: at.row + 1,
            header: self.header.clone(),
            csv: String::from_utf8_lossy(text)
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

/// The header's names and where the rows start; `None` when they are not to be seen in this window, the file's first.
fn head(window: &Window<'_>) -> Result<Option<(Vec<String>, usize)>, Error> {
    let mark = b"\xef\xbb\xbf";
    let skipped = if window.bytes.starts_with(mark) { 3 } else { 0 };
    let mut reader = reader(&window.bytes[skipped..]);
    let mut record = ByteRecord::new();
    let found = read(&mut reader, &mut record)?;
    let start = skipped + reader.position().byte() as usize;
    if start == window.bytes.len() && !window.ends {
        return Ok(None);
    }
    if !found {
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
    match window.is_blank_from(start) {
        None => Ok(None),
        Some(false) => Ok(Some((header, start))),
        Some(true) => Err(Error::invalid_input(
            "the file has a header and no row below it",
        )),
    }
}

/// The rows in a window from its second byte on, with one that was read and did not fit any more. Places are those in the window.
struct Rows<'a> {
    window: &'a Window<'a>,
    reader: Reader<&'a [u8]>,
    at: Cursor,
    record: ByteRecord,
    waiting: Option<(usize, usize)>,
    /// A row goes on beyond the window, and might fit.
    cut_off: bool,
}

impl<'a> Rows<'a> {
    fn new(window: &'a Window<'a>, at: Cursor) -> Self {
        Self {
            window,
            reader: reader(&window.bytes[1..]),
            at,
            record: ByteRecord::new(),
            waiting: None,
            cut_off: false,
        }
    }

    /// Up to `count` rows that take up to `room` bytes in JSON; `None` at the end of the file.
    fn piece(&mut self, count: u64, room: usize) -> Result<Option<Piece>, Error> {
        let mut piece: Option<Piece> = None;
        while piece.as_ref().is_none_or(|piece| piece.rows < count) {
            let Some((from, to)) = self.row()? else {
                self.cut_off = !self.window.ends;
                break;
            };
            let bytes = escaped(&self.window.bytes[from..to]);
            if to == self.window.bytes.len() && !self.window.ends && bytes <= room {
                self.cut_off = true;
                break;
            }
            match &mut piece {
                None if bytes > room => {
                    return Err(Error::invalid_input(format_args!(
                        "row {} of the file, at byte {}, is longer than one page: is there a quote that is not closed?",
                        self.at.row + 1,
                        self.window.from + from
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
        let from = 1 + self.reader.position().byte() as usize;
        let found = read(&mut self.reader, &mut self.record)?;
        let to = 1 + self.reader.position().byte() as usize;
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
