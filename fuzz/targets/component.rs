//! Plugin files: any bytes, scanned before anything is compiled.
//!
//! The oracle: nothing panics or takes long; what the scan takes is valid to the whole validator and holds what the scan says, counted
//! here once more; and what it calls invalid, the validator does not take.

mod making;

use kennel::sandbox::prescan::{Refusal, Scan, ScanCaps, ScanError, prescan};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

use crate::harness::{Maker, Target};

pub(crate) const TARGET: Target = Target {
    name: "component",
    ending: "wasm",
    inputs: 1_000,
    seeds,
    words: WORDS,
    make,
    check,
};

/// Headers, sections, names and a few instructions.
const WORDS: &str = "\0asm\r\0\u{1}\0
\0asm\u{1}\0\0\0
\u{4}\u{8}\0asm\r\0\u{1}\0
\u{1}\u{8}\0asm\u{1}\0\0\0
kennel:agent/handler@0.1.0
wasi:http/types@0.2.6
\u{7f}ELF
[method]a.b
[constructor]a
unlocked-dep=<a:b>
\u{7f}\u{7f}\u{7f}
name
\u{b}\0
\u{41}\0
\u{3}\u{40}
\u{e}\u{7f}";

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let agent = super::files("fuzz/seeds/component", "wat").map(|text| {
        let text = String::from_utf8(text).expect("it is text");
        wat::parse_str(text).expect("it is a component")
    });
    super::files("fuzz/seeds/component", "wasm")
        .chain(agent)
        .collect()
}

pub(super) fn make(maker: &mut Maker<'_>) -> Vec<u8> {
    match maker.below(3) {
        0 => maker.mutated(),
        1 => making::component(maker),
        _ => {
            let made = making::component(maker);
            maker.mutate(made)
        }
    }
}

/// What plugins may use: WebAssembly 2.0 without reference types of the garbage collector, constant expressions, components.
fn features() -> WasmFeatures {
    (WasmFeatures::WASM2 | WasmFeatures::EXTENDED_CONST | WasmFeatures::COMPONENT_MODEL)
        - WasmFeatures::GC_TYPES
}

fn check(input: &[u8]) -> String {
    let caps = ScanCaps::default();
    match prescan(input, &caps) {
        Ok(scan) => {
            let valid = Validator::new_with_features(features()).validate_all(input);
            assert!(
                valid.is_ok(),
                "the scan takes what is not valid: {:?}",
                valid.err()
            );
            counted(input, &scan);
            let within = [
                (scan.core_modules, caps.core_modules),
                (scan.components, caps.components),
                (scan.functions, caps.functions),
                (scan.instances, caps.instances),
                (scan.memories, caps.memories),
                (scan.tables, caps.tables),
                (scan.memory_bytes, caps.memory),
                (scan.data_bytes, caps.data),
            ];
            assert!(within.iter().all(|(count, cap)| count <= cap), "{scan:?}");
            assert_eq!(
                prescan(input, &ScanCaps::unbounded()).as_ref(),
                Ok(&scan),
                "without caps it says something else"
            );
            let some = |count: u64| count.min(4);
            format!(
                "{} {} {} {}",
                some(scan.components),
                some(scan.core_modules),
                some(scan.instances),
                some(scan.functions)
            )
        }
        Err(error) => refused(input, &error),
    }
}

fn refused(input: &[u8], error: &ScanError) -> String {
    let told = error.to_string();
    assert!(!told.chars().any(char::is_control), "{told:?}");
    assert!(told.len() < 2_000, "the reason has {} bytes", told.len());
    assert!(
        error.offset <= input.len() as u64,
        "offset {} of {}",
        error.offset,
        input.len()
    );
    match &error.reason {
        Refusal::Limit { cap, found, most } => {
            assert!(found > most, "{told}");
            format!("limit: {cap}")
        }
        Refusal::Invalid(_) => {
            let valid = Validator::new_with_features(features()).validate_all(input);
            assert!(
                valid.is_err(),
                "the scan calls invalid what is valid: {told}"
            );
            told.chars()
                .filter(|c| !c.is_ascii_digit())
                .take(60)
                .collect()
        }
        Refusal::Feature { feature, .. } => format!("feature: {feature}"),
        other => other.to_string(),
    }
}

/// Counts what the file holds, by a plain walk.
fn counted(input: &[u8], scan: &Scan) {
    let (mut modules, mut components, mut functions, mut depth) = (0, 0, 0, 0);
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut parser = Parser::new(0);
    parser.set_features(features());
    for payload in parser.parse_all(input) {
        match payload.expect("it is valid") {
            Payload::Version { encoding, .. } => {
                depth += 1;
                match encoding {
                    wasmparser::Encoding::Module => modules += 1,
                    wasmparser::Encoding::Component => components += 1,
                }
            }
            Payload::CodeSectionEntry(_) => functions += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                imports.extend(
                    section
                        .into_iter()
                        .map(|import| import.expect("it is valid").name.name.to_owned()),
                );
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                exports.extend(
                    section
                        .into_iter()
                        .map(|export| export.expect("it is valid").name.name.to_owned()),
                );
            }
            _ => {}
        }
    }
    assert_eq!(
        (scan.core_modules, scan.components, scan.functions),
        (modules, components, functions)
    );
    let names = |externs: &[kennel::sandbox::prescan::Extern]| {
        externs
            .iter()
            .map(|own| own.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&scan.imports), names(&scan.exports)),
        (imports, exports)
    );
}
