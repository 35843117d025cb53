//! What the engine promises: one identity for compiling and executing, and the refused proposals are really refused.

use wasmtime::component::Component;

use super::*;

/// A pool that costs a test next to nothing.
fn small() -> Pool {
    Pool {
        instances: 4,
        ..Pool::default()
    }
}

#[test]
fn what_the_compiling_engine_makes_is_meant_for_the_executing_engine() {
    let compiling = compile_only().unwrap();
    let executing = engine(&small()).unwrap();
    assert_eq!(engine_id(&compiling), engine_id(&executing));
}

#[test]
fn the_pool_size_is_not_part_of_the_identity() {
    let other = Pool {
        instances: 7,
        memory: 16 << 20,
        resident: 1 << 20,
        warm_slots: 1,
    };
    assert_eq!(
        engine_id(&engine(&small()).unwrap()),
        engine_id(&engine(&other).unwrap())
    );
}

#[test]
fn an_engine_with_other_features_has_another_identity() {
    let mut other = config();
    other.wasm_simd(false);
    let other = Engine::new(&other).unwrap();
    assert_ne!(engine_id(&other), engine_id(&compile_only().unwrap()));
}

#[test]
fn an_engine_of_the_default_pool_starts() {
    engine(&Pool::default()).unwrap();
}

#[test]
fn ten_thousand_tasks_in_flight_and_their_calls_have_room() {
    let pool = Pool::for_in_flight(10_800);
    assert_eq!(pool.instances, 11_880);
    engine(&pool).unwrap();
}

#[test]
fn a_component_compiled_by_one_engine_is_accepted_by_the_other() {
    let bytes =
        wat::parse_str("(component (core module $m (memory 1)) (core instance (instantiate $m)))")
            .unwrap();
    let artefact = compile_only()
        .unwrap()
        .precompile_component(&bytes)
        .unwrap();
    let executing = engine(&small()).unwrap();
    let trusted = crate::sandbox::cache::TrustedArtefact::of_test(artefact);
    trusted.load(&executing).unwrap();
}

#[test]
fn proposals_that_are_switched_off_are_refused() {
    let modules = [
        ("gc", "(module (type (struct (field i32))))"),
        ("externref", "(module (table 1 externref))"),
        (
            "typed function references",
            "(module (type $t (func)) (func (param (ref $t))))",
        ),
        ("exceptions", "(module (tag))"),
        ("threads", "(module (memory 1 1 shared))"),
        ("memory64", "(module (memory i64 1))"),
        ("tail calls", "(module (func $f return_call $f))"),
        (
            "relaxed simd",
            "(module (func (param v128) (drop (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))))",
        ),
        (
            "wide arithmetic",
            "(module (func (result i64 i64) i64.const 0 i64.const 0 i64.const 0 i64.const 0 i64.add128))",
        ),
        ("custom page sizes", "(module (memory 1 (pagesize 1)))"),
    ];
    let engine = compile_only().unwrap();
    for (feature, module) in modules {
        let text = format!(
            "(component (core {}",
            module.trim_start_matches('(').to_owned() + ")"
        );
        let bytes = wat::parse_str(&text).unwrap_or_else(|error| panic!("{feature}: {error}"));
        assert!(
            Component::from_binary(&engine, &bytes).is_err(),
            "{feature} was accepted"
        );
    }
}

#[test]
fn component_model_proposals_that_are_switched_off_are_refused() {
    let components = [
        ("stream", "(component (type (stream u8)))"),
        ("future", "(component (type (future u8)))"),
        ("error-context", "(component (type (list error-context)))"),
        ("map", "(component (type (map string u8)))"),
        ("fixed-length list", "(component (type (list u8 4)))"),
        ("async function", "(component (type (func async)))"),
    ];
    let engine = compile_only().unwrap();
    for (feature, text) in components {
        let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{feature}: {error}"));
        assert!(
            Component::from_binary(&engine, &bytes).is_err(),
            "{feature} was accepted"
        );
    }
}
