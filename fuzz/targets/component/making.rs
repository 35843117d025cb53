//! Components made by chance: each section names what stands before it, most of the time, so that many are valid and the others are
//! nearly so. They nest, instantiate each other, and reach into each other.

use wasm_encoder::{
    Alias, BlockType, CanonicalFunctionSection, CanonicalOption, CodeSection, Component,
    ComponentAliasSection, ComponentExportKind, ComponentExportSection, ComponentImportSection,
    ComponentInstanceSection, ComponentOuterAliasKind, ComponentTypeRef, ComponentTypeSection,
    ComponentValType, ConstExpr, CustomSection, DataSection, ExportKind, ExportSection, Function,
    FunctionSection, InstanceSection, Instruction, MemorySection, MemoryType, Module, ModuleArg,
    ModuleSection, NestedComponentSection, PrimitiveValType, RefType, TableSection, TableType,
    TypeSection, ValType,
};

use crate::harness::Maker;

/// How many of each thing a component has so far.
#[derive(Default)]
struct Have {
    modules: u32,
    core_instances: u32,
    core_functions: u32,
    memories: u32,
    components: u32,
    instances: u32,
    functions: u32,
    types: u32,
    /// Exports and imports so far; they need names of their own.
    names: u32,
    /// Whether every section is a valid one, so that those behind and around it are looked at too.
    careful: bool,
}

/// A component of some depth.
pub(super) fn component(maker: &mut Maker<'_>) -> Vec<u8> {
    let careful = maker.chance(50);
    let depth = match maker.chance(if careful { 30 } else { 5 }) {
        true => 3 + maker.below(10),
        false => maker.below(3),
    };
    make(maker, depth, careful).finish()
}

fn make(maker: &mut Maker<'_>, depth: usize, careful: bool) -> Component {
    let mut component = Component::new();
    let mut have = Have {
        careful,
        ..Have::default()
    };
    for _ in 0..1 + maker.below(10) {
        section(maker, &mut component, &mut have, depth);
    }
    if careful && depth > 0 {
        inner(maker, &mut component, &mut have, depth);
    }
    component
}

fn inner(maker: &mut Maker<'_>, to: &mut Component, have: &mut Have, depth: usize) {
    let inner = make(maker, depth - 1, have.careful);
    to.section(&NestedComponentSection(&inner));
    have.components += 1;
}

/// The index of one of `count` things; seldom of one that is not there.
fn one(maker: &mut Maker<'_>, count: u32) -> u32 {
    match maker.below(200) == 0 {
        true => count + maker.below(3) as u32,
        false => maker.below(count.max(1) as usize) as u32,
    }
}

fn section(maker: &mut Maker<'_>, to: &mut Component, have: &mut Have, depth: usize) {
    match maker.below(12) {
        0 | 1 => {
            let module = module(maker);
            to.section(&ModuleSection(&module));
            have.modules += 1;
        }
        2 if depth > 0 && !have.careful => inner(maker, to, have, depth),
        3 if have.modules > 0 => core_instances(maker, to, have),
        4 if have.components > 0 && !have.careful => instances(maker, to, have),
        5 | 6 => types(maker, to, have),
        7 if have.core_instances > 0 && !have.careful => core_aliases(maker, to, have),
        8 if have.types > 0 && !have.careful => canonical(maker, to, have),
        9 => imports(maker, to, have),
        10 => exports(maker, to, have),
        11 if maker.chance(20) => {
            let data = maker.number().to_le_bytes();
            to.section(&CustomSection {
                name: maker.one_of(&["name", "x", ""]).into(),
                data: (&data[..]).into(),
            });
        }
        _ if have.careful => {}
        _ => outer_alias(maker, to, have),
    }
}

fn core_instances(maker: &mut Maker<'_>, to: &mut Component, have: &mut Have) {
    let mut section = InstanceSection::new();
    let many = match maker.chance(5) {
        true => maker.below(300),
        false => 1 + maker.below(3),
    };
    for _ in 0..many {
        let args: Vec<(&str, ModuleArg)> = match maker.chance(40) && have.core_instances > 0 {
            true => vec![("env", ModuleArg::Instance(one(maker, have.core_instances)))],
            false => vec![],
        };
        section.instantiate(one(maker, have.modules), args);
        have.core_instances += 1;
    }
    to.section(&section);
}

fn instances(maker: &mut Maker<'_>, to: &mut Component, have: &mut Have) {
    let mut section = ComponentInstanceSection::new();
    for _ in 0..1 + maker.below(12) {
        if maker.chance(15) {
            let items: Vec<(&str, ComponentExportKind, u32)> = match have.functions {
                0 => vec![],
                functions => vec![("f", ComponentExportKind::Func, one(maker, functions))],
            };
            section.export_items(items);
        } else {
            section.instantiate(
                one(maker, have.components),
                Vec::<(&str, ComponentExportKind, u32)>::new(),
            );
        }
        have.instances += 1;
    }
    to.section(&section);
}

fn value_type(maker: &mut Maker<'_>, have: &Have) -> ComponentValType {
    use PrimitiveValType as P;
    match maker.chance(40) && have.types > 0 && !have.careful {
        true => ComponentValType::Type(one(maker, have.types)),
        false => maker
            .one_of(&[P::Bool, P::U8, P::S64, P::F32, P::Char, P::String, P::U32])
            .into(),
    }
}

fn types(maker: &mut Maker<'_>, to: &mut Component, have: &mut Have) {
    let mut section = ComponentTypeSection::new();
    for _ in 0..1 + maker.below(5) {
        let ty = value_type(maker, have);
        match maker.below(if have.careful { 4 } else { 9 }) {
            0..4 => {
                let result = maker.chance(50).then(|| value_type(maker, have));
                let params = vec![("a", ty), ("b", value_type(maker, have))];
                let take = maker.below(3);
                section
                    .function()
                    .params(params.into_iter().take(take).collect::<Vec<_>>())
                    .result(result);
            }
            4 => section.defined_type().list(ty),
            5 => section.defined_type().record([("a", ty), ("b-c", ty)]),
            6 => section.defined_type().option(ty),
            7 => section.defined_type().result(Some(ty), None),
            _ => section.defined_type().tuple(vec![ty; 1 + maker.below(20)]),
        }
        have.types += 1;
    }
    to.section(&section);
}

fn core_aliases(maker: &mut Maker<'_>, to: &mut Component, have: &mut Have) {
    let mut section = ComponentAliasSection::new();
    for _ in 0..1 + maker.below(4) {
        let instance = one(maker, have.core_instances);
        let (kind, name) = match maker.chance(70) {
            true => (ExportKind::Func, maker.one_of(&["f", "g", "realloc"])),
            false => (ExportKind::Memory, "memory"),
        };
        section.alias(Alias::CoreInstanceExport {
            instance,
            kind,
            name,
        });
        match kind {
            ExportKind::Func => have.core_functions += 1,
            _ => have.memories += 1,
        }
    }
    to.section(&section);
}

fn canonical(maker: &mut Maker<'_>, to: &mut Component, have: &mut Have) {
    let mut section = CanonicalFunctionSection::new();
    let mut options = Vec::new();
    if have.memories > 0 && maker.chance(60) {
        options.push(CanonicalOption::Memory(one(maker, have.memories)));
    }
    if have.core_functions > 0 && maker.chance(40) {
        options.push(CanonicalOption::Realloc(one(maker, have.core_functions)));
    }
    if have.functions > 0 && maker.chance(40) {
        section.lower(one(maker, have.functions), options);
        have.core_functions += 1;
    } else if have.core_functions > 0 {
        section.lift(
            one(maker, have.core_functions),
            one(maker, have.types),
            options,
        );
        have.functions += 1;
    }
    to.section(&section);
}

fn imports(maker: &mut Maker<'_>, to: &mut Component, have: &mut Have) {
    let mut section = ComponentImportSection::new();
    for _ in 0..1 + maker.below(3) {
        let name = name(maker, have);
        if have.types > 0 && (have.careful || maker.chance(80)) {
            section.import(
                name.as_str(),
                ComponentTypeRef::Func(one(maker, have.types)),
            );
            have.functions += 1;
        } else if have.types > 0 {
            section.import(
                name.as_str(),
                ComponentTypeRef::Instance(one(maker, have.types)),
            );
            have.instances += 1;
        }
    }
    to.section(&section);
}

fn exports(maker: &mut Maker<'_>, to: &mut Component, have: &mut Have) {
    let mut section = ComponentExportSection::new();
    for _ in 0..1 + maker.below(3) {
        let (kind, count) = maker.one_of(&[
            (ComponentExportKind::Func, have.functions),
            (ComponentExportKind::Instance, have.instances),
            (ComponentExportKind::Type, have.types),
            (ComponentExportKind::Module, have.modules),
            (ComponentExportKind::Component, have.components),
        ]);
        let plain = matches!(kind, ComponentExportKind::Func | ComponentExportKind::Type);
        if count == 0 || (have.careful && !plain) {
            continue;
        }
        let name = name(maker, have);
        section.export(name.as_str(), kind, one(maker, count), None);
        match kind {
            ComponentExportKind::Func => have.functions += 1,
            ComponentExportKind::Instance => have.instances += 1,
            ComponentExportKind::Type => have.types += 1,
            ComponentExportKind::Module => have.modules += 1,
            _ => have.components += 1,
        }
    }
    to.section(&section);
}

fn outer_alias(maker: &mut Maker<'_>, to: &mut Component, have: &mut Have) {
    let mut section = ComponentAliasSection::new();
    let (kind, counted) = match maker.below(3) {
        0 => (ComponentOuterAliasKind::Type, &mut have.types),
        1 => (ComponentOuterAliasKind::CoreModule, &mut have.modules),
        _ => (ComponentOuterAliasKind::Component, &mut have.components),
    };
    let (count, index) = match maker.chance(50) && *counted > 0 {
        true => (0, one(maker, *counted)),
        false => (1, maker.below(2) as u32),
    };
    section.alias(Alias::Outer { kind, count, index });
    *counted += 1;
    to.section(&section);
}

fn name(maker: &mut Maker<'_>, have: &mut Have) -> String {
    have.names += 1;
    let n = have.names;
    match maker.below(12) {
        _ if have.careful => format!("n{n}"),
        0 => format!("a:b/c{n}@0.1.{n}"),
        1 => format!("wasi:http/types@0.2.{n}"),
        2 => "x".repeat(maker.below(400)),
        3 => format!("[method]a.b{n}"),
        4 => "same".to_owned(),
        _ => format!("n{n}"),
    }
}

/// A module with a memory, a table, and three functions that are exported.
fn module(maker: &mut Maker<'_>) -> Module {
    let mut module = Module::new();
    let mut types = TypeSection::new();
    types.ty().function([], []);
    types.ty().function([ValType::I32; 4], [ValType::I32]);
    let params = vec![
        maker.one_of(&[ValType::I32, ValType::I64, ValType::F64, ValType::V128]);
        maker.below(4)
    ];
    types.ty().function(params, [ValType::I32]);
    module.section(&types);
    let mut functions = FunctionSection::new();
    for ty in 0..3 {
        functions.function(ty);
    }
    module.section(&functions);
    let mut tables = TableSection::new();
    let elements = match maker.chance(5) {
        true => maker.edge(),
        false => maker.below(100) as u64,
    };
    tables.table(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: elements,
        maximum: None,
        shared: false,
    });
    module.section(&tables);
    let mut memories = MemorySection::new();
    let minimum = match maker.chance(5) {
        true => maker.edge() % 70_000,
        false => maker.below(4) as u64,
    };
    memories.memory(MemoryType {
        minimum,
        maximum: maker.chance(20).then_some(minimum + 1),
        memory64: maker.chance(2),
        shared: false,
        page_size_log2: None,
    });
    module.section(&memories);
    let mut exports = ExportSection::new();
    exports
        .export("f", ExportKind::Func, 0)
        .export("realloc", ExportKind::Func, 1)
        .export("g", ExportKind::Func, 2);
    exports.export("memory", ExportKind::Memory, 0);
    module.section(&exports);
    let mut code = CodeSection::new();
    code.function(&body(maker, None))
        .function(&body(maker, Some(0)))
        .function(&body(maker, Some(1)));
    module.section(&code);
    if maker.chance(20) {
        let mut data = DataSection::new();
        data.active(0, &ConstExpr::i32_const(0), [7; 9]);
        module.section(&data);
    }
    module
}

/// A body that gives nothing, or a number.
fn body(maker: &mut Maker<'_>, gives: Option<i32>) -> Function {
    let locals = match maker.chance(3) {
        true => 6_000,
        false => maker.below(9) as u32,
    };
    let mut body = Function::new([(locals, ValType::I64)]);
    let nested = match maker.chance(4) {
        true => maker.below(60),
        false => maker.below(4),
    };
    for _ in 0..nested {
        let open = match maker.chance(50) {
            true => Instruction::Loop(BlockType::Empty),
            false => Instruction::Block(BlockType::Empty),
        };
        body.instruction(&open);
    }
    for _ in 0..maker.below(20) {
        let number = maker.edge() as i32;
        body.instruction(&Instruction::I32Const(number));
        match maker.below(6) {
            0 => body.instruction(&Instruction::Drop),
            1 => body
                .instruction(&Instruction::MemoryGrow(0))
                .instruction(&Instruction::Drop),
            2 => body.instruction(&Instruction::BrTable(vec![0; maker.below(50)].into(), 0)),
            3 => body
                .instruction(&Instruction::I32Eqz)
                .instruction(&Instruction::BrIf(0)),
            4 => body
                .instruction(&Instruction::I32Clz)
                .instruction(&Instruction::Drop),
            _ => body
                .instruction(&Instruction::Drop)
                .instruction(&Instruction::Call(0)),
        };
    }
    for _ in 0..nested {
        body.instruction(&Instruction::End);
    }
    if let Some(number) = gives {
        body.instruction(&Instruction::I32Const(number));
    }
    body.instruction(&Instruction::End);
    body
}
