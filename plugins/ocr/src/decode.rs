//! PNG and JPEG to gray. Sizes are looked at before anything is unpacked, so a small file cannot ask for much memory.

use std::io::Cursor;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::gray::Gray;

/// The largest page: A4 at 450 dots per inch has 20 million pixels.
const MAX_PIXELS: usize = 20_000_000;
/// Longer than any page that has no more pixels than that and is still one.
const MAX_SIDE: usize = 20_000;
/// Shorter than one line of text that could be read.
const MIN_SIDE: usize = 8;

/// Why an image cannot be read: a sentence for the person who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) String);

/// Decodes a page. What the bytes say goes before any media type.
pub(crate) fn decode(bytes: &[u8], media_type: &str) -> Result<Gray, Unreadable> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return png(bytes);
    }
    if bytes.starts_with(b"\xFF\xD8\xFF") {
        return jpeg(bytes);
    }
    let way_out = if bytes.starts_with(b"%PDF-") {
        "a PDF with text in it is read by the agent `extract`, one without must be made page images first"
    } else {
        "send the page as one of those"
    };
    Err(Unreadable(format!(
        "the document ({media_type}) is neither a PNG nor a JPEG image; {way_out}"
    )))
}

fn png(bytes: &[u8]) -> Result<Gray, Unreadable> {
    let damaged = |error: png::DecodingError| damaged("PNG", &error.to_string());
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let (width, height) = decoder.read_header_info().map_err(damaged)?.size();
    let (width, height) = checked(width as usize, height as usize)?;
    let mut reader = decoder.read_info().map_err(damaged)?;
    let size = reader
        .output_buffer_size()
        .filter(|&size| size <= 4 * MAX_PIXELS)
        .ok_or_else(|| too_large(width, height))?;
    let mut samples = vec![0; size];
    let frame = reader.next_frame(&mut samples).map_err(damaged)?;
    samples.truncate(frame.buffer_size());
    let pixels = match frame.color_type {
        png::ColorType::Grayscale => samples,
        png::ColorType::GrayscaleAlpha => samples
            .chunks_exact(2)
            .map(|gray| over_white(gray[0], gray[1]))
            .collect(),
        png::ColorType::Rgba => samples
            .chunks_exact(4)
            .map(|rgba| over_white(luma(rgba), rgba[3]))
            .collect(),
        png::ColorType::Rgb | png::ColorType::Indexed => {
            samples.chunks_exact(3).map(luma).collect()
        }
    };
    whole("PNG", width, height, pixels)
}

fn jpeg(bytes: &[u8]) -> Result<Gray, Unreadable> {
    let damaged = |error: zune_jpeg::errors::DecodeErrors| damaged("JPEG", &error.to_string());
    // Strict: what is missing of a page would otherwise be gray, and nobody would know of the text that stood there.
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        .jpeg_set_out_colorspace(ColorSpace::Luma);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let (width, height) = checked(width, height)?;
    let has_luma = matches!(
        decoder.input_colorspace(),
        Some(ColorSpace::Luma | ColorSpace::YCbCr)
    );
    if has_luma {
        let pixels = decoder.decode().map_err(damaged)?;
        return whole("JPEG", width, height, pixels);
    }
    decoder.set_options(options.jpeg_set_out_colorspace(ColorSpace::RGB));
    let samples = decoder.decode().map_err(damaged)?;
    let pixels = samples.chunks_exact(3).map(luma).collect();
    whole("JPEG", width, height, pixels)
}

fn checked(width: usize, height: usize) -> Result<(usize, usize), Unreadable> {
    if width.min(height) < MIN_SIDE {
        return Err(Unreadable(format!(
            "the image is {width} x {height} pixels, too small to hold text; scan the page at 150 dots per inch or more"
        )));
    }
    if width.max(height) > MAX_SIDE || width.saturating_mul(height) > MAX_PIXELS {
        return Err(too_large(width, height));
    }
    Ok((width, height))
}

fn too_large(width: usize, height: usize) -> Unreadable {
    Unreadable(format!(
        "the image is {width} x {height} pixels, more than {} million or longer than {MAX_SIDE}; scan the page at 300 dots per inch",
        MAX_PIXELS / 1_000_000
    ))
}

fn damaged(format: &str, reason: &str) -> Unreadable {
    Unreadable(format!(
        "the {format} image is damaged: {reason}; scan or save it again"
    ))
}

fn whole(format: &str, width: usize, height: usize, pixels: Vec<u8>) -> Result<Gray, Unreadable> {
    if pixels.len() != width * height {
        return Err(damaged(format, "it holds fewer pixels than it says"));
    }
    Ok(Gray {
        width,
        height,
        pixels,
    })
}

/// The brightness of a colour (ITU-R BT.601), rounded.
fn luma(rgb: &[u8]) -> u8 {
    let [red, green, blue] = [rgb[0], rgb[1], rgb[2]].map(u32::from);
    ((299 * red + 587 * green + 114 * blue + 500) / 1000) as u8
}

/// Pages are white: what shines through is white.
fn over_white(gray: u8, alpha: u8) -> u8 {
    let (gray, alpha) = (u32::from(gray), u32::from(alpha));
    ((gray * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG with these samples.
    fn encoded(width: u32, height: u32, color: png::ColorType, samples: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(color);
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(samples).expect("samples");
        writer.finish().expect("an end");
        bytes
    }

    /// The first bytes of a PNG that claims a size and holds nothing.
    fn claiming(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        drop(encoder.write_header().expect("a header"));
        bytes
    }

    fn refusal(bytes: &[u8]) -> String {
        let refused = decode(bytes, "image/png").err();
        refused.expect("refused").0
    }

    #[test]
    fn colours_become_their_brightness_and_what_is_transparent_white() {
        let rgba: Vec<u8> = [
            [255, 0, 0, 255],
            [0, 255, 0, 255],
            [0, 0, 0, 0],
            [0, 0, 0, 255],
        ]
        .concat()
        .repeat(16);
        let gray = decode(&encoded(8, 8, png::ColorType::Rgba, &rgba), "image/png").expect("gray");
        assert_eq!((gray.width, gray.height), (8, 8));
        assert_eq!(gray.pixels[..4], [76, 150, 255, 0]);
    }

    #[test]
    fn what_is_no_image_is_named_with_the_way_out() {
        let refused = decode(b"%PDF-1.7", "application/pdf")
            .expect_err("refused")
            .0;
        assert!(
            refused.contains("(application/pdf) is neither a PNG nor a JPEG")
                && refused.contains("`extract`"),
            "{refused}"
        );
        assert!(refusal(b"Dear Sir").contains("send the page as one of those"));
    }

    #[test]
    fn sizes_are_refused_before_anything_is_unpacked() {
        assert!(refusal(&claiming(60_000, 60_000)).contains("60000 x 60000 pixels, more than 20"));
        assert!(refusal(&claiming(20_001, 8)).contains("longer than 20000"));
        assert!(refusal(&claiming(4, 400)).contains("too small"));
    }

    #[test]
    fn a_file_that_ends_early_is_damaged() {
        let whole = encoded(64, 64, png::ColorType::Grayscale, &[7; 64 * 64]);
        assert!(refusal(&whole[..whole.len() / 2]).contains("PNG image is damaged"));
        let jpeg = include_bytes!("../../samples/scanned-report.jpg");
        assert!(refusal(&jpeg[..400]).contains("JPEG image is damaged"));
    }

    #[test]
    fn a_jpeg_has_the_size_and_the_paper_of_its_page() {
        let page = decode(include_bytes!("../../samples/scanned-report.jpg"), "").expect("a page");
        assert_eq!((page.width, page.height), (1241, 1754));
        let paper = page.pixels.iter().filter(|&&pixel| pixel > 180).count();
        assert!(paper > page.pixels.len() * 3 / 4, "{paper}");
    }
}
