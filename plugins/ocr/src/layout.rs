//! From lines to text: in what order they are read, and which of them are one paragraph. Knows where lines stand and what they
//! say, nothing of pictures.

use crate::lines::Line;

/// Columns of text have lines so many times longer than high; shorter ones side by side are a table.
const COLUMN: f32 = 6.0;
/// Columns of text have so many lines each.
const LINES: usize = 3;
/// Lines that are apart by so much more than most are two paragraphs.
const APART: f32 = 1.25;
/// Lines whose heights differ by so much are two paragraphs: one is a heading.
const HEADING: f32 = 1.3;
/// A line that ends so much of its column's width early is the last of its paragraph.
const EARLY: f32 = 0.35;

/// A line and what it says.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) line: Line,
    pub(crate) text: String,
    pub(crate) confidence: f32,
}

/// What stands side by side in one column, from left to right.
pub(crate) type Row = Vec<Said>;

/// The columns of a page in the order in which they are read, each of rows from top to bottom. Of all stretches of the page that an
/// empty strip parts into columns the one with most lines is taken; what is above, left, right and below is looked at in the same way.
pub(crate) fn columns(mut lines: Vec<Said>) -> Vec<Vec<Row>> {
    lines.sort_by(|one, other| one.line.centre().total_cmp(&other.line.centre()));
    let Some(cut) = longest_cut(&lines) else {
        let column = rows(lines);
        return if column.is_empty() {
            Vec::new()
        } else {
            vec![column]
        };
    };
    let below = lines.split_off(cut.end);
    let between = lines.split_off(cut.start);
    let (left, right) = between
        .into_iter()
        .partition(|said| said.line.right <= cut.at);
    [lines, left, right, below]
        .into_iter()
        .flat_map(columns)
        .collect()
}

/// The text of columns: paragraphs parted by an empty line; a row of a table is a line, its cells parted by tabs.
pub(crate) fn text(columns: &[Vec<Row>]) -> String {
    let mut text = String::new();
    for column in columns {
        let all = || column.iter().flatten().map(|said| &said.line);
        let left = all().map(|line| line.left).fold(f32::MAX, f32::min);
        let right = all().map(|line| line.right).fold(f32::MIN, f32::max);
        let apart = usual_distance(column) * APART;
        let mut before: Option<&Row> = None;
        for row in column {
            let part = match before {
                None if goes_on(&text, row) => " ",
                None => "\n\n",
                Some(above) if is_apart(above, row, apart) => "\n\n",
                Some(above) if above.len() > 1 || row.len() > 1 => "\n",
                Some(above) if above[0].line.right < right - EARLY * (right - left) => "\n",
                Some(_) => " ",
            };
            append(&mut text, part, row);
            before = Some(row);
        }
    }
    text
}

/// Whether a row at the top of a column goes on with the sentence that the column before broke off.
fn goes_on(text: &str, row: &Row) -> bool {
    let is_open = text.ends_with(|last: char| last.is_alphanumeric() || "-,;".contains(last));
    is_open && row[0].text.starts_with(char::is_lowercase)
}

fn append(text: &mut String, part: &str, row: &Row) {
    let cells: Vec<&str> = row.iter().map(|said| said.text.as_str()).collect();
    let cells = cells.join("\t");
    let mut end = text.chars().rev();
    let is_broken = end.next() == Some('-') && end.next().is_some_and(char::is_alphabetic);
    if part == " " && is_broken && cells.starts_with(char::is_lowercase) {
        text.pop();
    } else if !text.is_empty() {
        text.push_str(part);
    }
    text.push_str(&cells);
}

/// Whether something ends between two rows.
fn is_apart(above: &Row, row: &Row, apart: f32) -> bool {
    let (above, row) = (&above[0].line, &row[0].line);
    let (low, high) = (above.height.min(row.height), above.height.max(row.height));
    row.centre() - above.centre() > apart || high > HEADING * low
}

/// The distance between two rows that most have, in pixels.
fn usual_distance(rows: &[Row]) -> f32 {
    let mut distances: Vec<f32> = rows
        .windows(2)
        .map(|pair| pair[1][0].line.centre() - pair[0][0].line.centre())
        .collect();
    distances.sort_by(f32::total_cmp);
    let median = distances.get(distances.len() / 2).copied();
    // Where every row is a paragraph, most rows are far apart.
    let mut heights: Vec<f32> = rows.iter().map(|row| row[0].line.height).collect();
    heights.sort_by(f32::total_cmp);
    let height = heights.get(heights.len() / 2).copied().unwrap_or_default();
    median.unwrap_or_default().min(2.0 * height)
}

/// The rows of one column, from top to bottom.
fn rows(mut column: Vec<Said>) -> Vec<Row> {
    column.sort_by(|one, other| one.line.centre().total_cmp(&other.line.centre()));
    let mut rows: Vec<Row> = Vec::new();
    for said in column {
        let fits = |row: &&mut Row| row.iter().all(|other| other.line.beside(&said.line) > 0.5);
        match rows.last_mut().filter(fits) {
            Some(row) => row.push(said),
            None => rows.push(vec![said]),
        }
    }
    for row in &mut rows {
        row.sort_by(|one, other| one.line.left.total_cmp(&other.line.left));
    }
    rows
}

/// A stretch of lines, from the first to behind the last, and where it is cut.
struct Cut {
    start: usize,
    end: usize,
    at: f32,
}

fn longest_cut(lines: &[Said]) -> Option<Cut> {
    let mut best: Option<Cut> = None;
    for start in 0..lines.len() {
        // What the lines so far cover, from left to right, as stretches that do not touch.
        let mut covered: Vec<(f32, f32)> = Vec::new();
        for end in start + 1..=lines.len() {
            let line = &lines[end - 1].line;
            cover(&mut covered, line.left, line.right);
            if covered.len() == 1 && end - start > 2 * LINES {
                break;
            }
            if best
                .as_ref()
                .is_some_and(|best| best.end - best.start >= end - start)
            {
                continue;
            }
            let gaps = covered.windows(2).map(|pair| (pair[0].1, pair[1].0));
            let cut = gaps
                .filter(|gap| parts_columns(&lines[start..end], *gap))
                .max_by(|one, other| (one.1 - one.0).total_cmp(&(other.1 - other.0)));
            if let Some((left, right)) = cut {
                let at = (left + right) / 2.0;
                best = Some(Cut { start, end, at });
            }
        }
    }
    best
}

fn cover(covered: &mut Vec<(f32, f32)>, mut left: f32, mut right: f32) {
    covered.retain(|&(from, to)| {
        let touches = from <= right && left <= to;
        if touches {
            (left, right) = (left.min(from), right.max(to));
        }
        !touches
    });
    let at = covered.partition_point(|&(from, _)| from < left);
    covered.insert(at, (left, right));
}

/// Whether both sides of a gap are running text.
fn parts_columns(lines: &[Said], (left, right): (f32, f32)) -> bool {
    let is_running = |side: Vec<&Line>| {
        let mut shapes: Vec<f32> = side.iter().map(|line| line.width() / line.height).collect();
        shapes.sort_by(f32::total_cmp);
        side.len() >= LINES
            && shapes[shapes.len() / 2] >= COLUMN
            && side.iter().all(|line| right - left > 0.5 * line.height)
    };
    let (one, other) = lines
        .iter()
        .map(|said| &said.line)
        .partition(|line| line.right <= left);
    is_running(one) && is_running(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line that says something and stands at left, top with letters 20 high and 10 wide.
    fn said(text: &str, left: f32, top: f32) -> Said {
        let right = left + 10.0 * text.chars().count() as f32;
        Said {
            line: Line::level(left, right, top, 20.0),
            text: text.to_owned(),
            confidence: 1.0,
        }
    }

    fn read(lines: &[(&str, f32, f32)]) -> String {
        let lines = lines.iter().map(|&(text, left, top)| said(text, left, top));
        text(&columns(lines.collect()))
    }

    #[test]
    fn lines_are_read_downwards_and_paragraphs_parted_where_they_are_further_apart() {
        let text = read(&[
            ("on this line, which is long.", 100.0, 54.0),
            ("A first sentence that goes on", 100.0, 30.0),
            ("A second paragraph of one line", 100.0, 94.0),
            ("that is also two lines high.", 100.0, 118.0),
        ]);
        assert_eq!(
            text,
            "A first sentence that goes on on this line, which is long.\n\n\
             A second paragraph of one line that is also two lines high."
        );
    }

    #[test]
    fn columns_are_read_one_after_the_other_below_what_spans_them() {
        let text = read(&[
            ("A title that spans both columns of the page", 100.0, 0.0),
            ("The left column has", 100.0, 60.0),
            ("The right column has", 360.0, 62.0),
            ("three lines of text,", 100.0, 84.0),
            ("its own three lines,", 360.0, 86.0),
            ("and it is read first", 100.0, 108.0),
            ("which are read last.", 360.0, 110.0),
            ("A line below that spans both columns again.", 100.0, 170.0),
        ]);
        assert_eq!(
            text,
            "A title that spans both columns of the page\n\n\
             The left column has three lines of text, and it is read first\n\n\
             The right column has its own three lines, which are read last.\n\n\
             A line below that spans both columns again."
        );
    }

    #[test]
    fn a_sentence_goes_on_in_the_next_column() {
        let text = read(&[
            ("A sentence that does", 100.0, 60.0),
            ("down here, but there", 360.0, 62.0),
            ("not end in the first", 100.0, 84.0),
            ("in the second column", 360.0, 86.0),
            ("column and not right", 100.0, 108.0),
            ("where there is room.", 360.0, 110.0),
        ]);
        assert!(text.contains("not right down here"), "{text}");
    }

    #[test]
    fn a_table_is_read_row_by_row_with_tabs_between_cells() {
        let text = read(&[
            ("Item", 100.0, 30.0),
            ("Price", 300.0, 31.0),
            ("Rope", 100.0, 54.0),
            ("12.50", 300.0, 54.0),
            ("Anchor", 100.0, 78.0),
            ("80.00", 300.0, 77.0),
        ]);
        assert_eq!(text, "Item\tPrice\nRope\t12.50\nAnchor\t80.00");
    }

    #[test]
    fn a_word_that_a_line_breaks_is_joined_and_other_dashes_stay() {
        let text = read(&[
            ("The ferry carries passen-", 100.0, 30.0),
            ("gers and the post of 2025-", 100.0, 54.0),
            ("2026 to all the islands.", 100.0, 78.0),
        ]);
        assert_eq!(
            text,
            "The ferry carries passengers and the post of 2025- 2026 to all the islands."
        );
    }

    #[test]
    fn a_short_line_ends_its_paragraph() {
        let text = read(&[
            ("Margaret Ashdown", 100.0, 30.0),
            ("Harbour Hall", 100.0, 54.0),
            ("a line that is a good deal longer", 100.0, 78.0),
        ]);
        assert_eq!(
            text,
            "Margaret Ashdown\nHarbour Hall\na line that is a good deal longer"
        );
    }

    #[test]
    fn no_lines_are_no_text() {
        assert_eq!(read(&[]), "");
    }
}
