//! Hostile files beside the bombs of the pre-scan's own tests, and one honest file that is as large as they come.

use wasm_encoder::{
    BlockType, CodeSection, ComponentSection as _, ConstExpr, DataSection, Encode as _, EntityType,
    ExportKind, ExportSection, Function, FunctionSection, GlobalSection, GlobalType, ImportSection,
    InstanceSection, Instruction, MemorySection, MemoryType, Module, ModuleArg, ModuleSection,
    TypeSection, ValType,
};

use crate::{agents, bombs};

pub(crate) fn wat(text: &str) -> Vec<u8> {
    bombs::wat(text)
}

/// Loops inside each other that all count in the same ten locals: each is one more way for a value to come about.
pub(crate) fn counting_loops() -> Vec<u8> {
    const DEPTH: u32 = 3_000;
    let mut function = Function::new([(10, ValType::I32)]);
    for level in 0..DEPTH {
        function
            .instruction(&Instruction::Loop(BlockType::Empty))
            .instruction(&Instruction::LocalGet(level % 10))
            .instruction(&Instruction::LocalGet((level + 3) % 10))
            .instruction(&Instruction::I32Add)
            .instruction(&Instruction::LocalSet(level % 10));
    }
    for level in 0..DEPTH {
        function
            .instruction(&Instruction::LocalGet(level % 10))
            .instruction(&Instruction::BrIf(0))
            .instruction(&Instruction::End);
    }
    function.instruction(&Instruction::End);
    bombs::one_function(&function)
}

/// A tuple of two tuples of two tuples, forty deep: its size has thirteen digits.
pub(crate) fn doubling_type() -> Vec<u8> {
    let mut types = "(type $t0 (tuple u8 u8))".to_owned();
    for level in 1..40 {
        types += &format!("(type $t{level} (tuple $t{0} $t{0}))", level - 1);
    }
    wat(&format!(
        "(component {types} (import \"f\" (func (param \"p\" $t39))))"
    ))
}

/// A list of a list of a list, 120 deep.
pub(crate) fn deep_type() -> Vec<u8> {
    let mut types = "(type $t0 (list u8))".to_owned();
    for level in 1..120 {
        types += &format!("(type $t{level} (list $t{}))", level - 1);
    }
    wat(&format!(
        "(component {types} (import \"f\" (func (param \"p\" $t119))))"
    ))
}

/// One component for each proposal that is switched off.
pub(crate) fn features() -> Vec<(&'static str, Vec<u8>)> {
    let module = |text: &str| wat(&format!("(component (core module {text}))"));
    vec![
        ("gc", module("(type (struct (field i32)))")),
        ("threads", module("(memory 1 1 shared)")),
        ("memory64", module("(memory i64 1)")),
        ("exceptions", module("(tag)")),
        ("tail-call", module("(func return_call 0)")),
        (
            "relaxed-simd",
            module("(func (param v128) (result v128) local.get 0 i32x4.relaxed_trunc_f32x4_s)"),
        ),
        (
            "function-references",
            module("(type $f (func)) (func (param (ref null $f)))"),
        ),
        ("multi-memory", module("(memory 1) (memory 1)")),
        (
            "wide-arithmetic",
            module(
                "(func (param i64 i64) (result i64 i64) local.get 0 local.get 1 i64.mul_wide_u)",
            ),
        ),
        ("cm-async", wat("(component (type (stream u8)))")),
        ("cm-error-context", wat("(component (type error-context))")),
        ("cm-map", wat("(component (type (map u32 string)))")),
    ]
}

/// A hundred memories, each of which would be within the limit.
pub(crate) fn memories() -> Vec<u8> {
    wat(&format!(
        "(component (core module {}))",
        "(memory 256)".repeat(100)
    ))
}

/// A memory that begins with all that 32 bits can address.
pub(crate) fn huge_memory() -> Vec<u8> {
    wat("(component (core module $m (memory 65536)) (core instance (instantiate $m)))")
}

/// Many instances of one small module.
pub(crate) fn instances() -> Vec<u8> {
    let instantiate = "(core instance (instantiate $m))".repeat(900);
    wat(&format!("(component (core module $m) {instantiate})"))
}

/// Fifty thousand imports whose names would clear a terminal and turn its text round.
pub(crate) fn imports() -> Vec<u8> {
    // In one piece: fifty thousand small ones would leave holes in this process's own memory, which is measured.
    let mut names = String::new();
    for number in 0..50_000 {
        names += "\u{1b}[2J\u{202e}";
        names.extend(std::iter::repeat_n('0', 195));
        names += &format!("{number:05}");
    }
    let each = names.len() / 50_000;
    bombs::imports((0..50_000).map(|name| &names[name * each..][..each]))
}

/// An import that no host provides.
pub(crate) fn unknown_import() -> Vec<u8> {
    wat(&agents::importing("evil:host/escape"))
}

/// `wasm` with a custom section more, another for each number: the same program in another file.
pub(crate) fn renumbered(mut wasm: Vec<u8>, number: u32) -> Vec<u8> {
    wasm.extend([0, 6, 1, b'n']);
    wasm.extend(number.to_le_bytes());
    wasm
}

/// Functions of the honest file, as CPython's component has them: most are small, one is a loop over a large `switch`.
const FUNCTIONS: u32 = 13_400;
const CASES: u32 = 780;
const TARGETS: usize = 3_202;
const SWITCH: usize = 420_000;
/// Its data: 11.7 MB, as CPython carries.
const DATA: usize = 11_700_000;
/// Symbols that its two modules have of each other.
const SYMBOLS: u32 = 900;

/// An agent that answers as `echo` does and carries an interpreter as large as CPython's component: 13,400 functions, one of 420 kB
/// with a `br_table` of 3,202 targets in 780 nested blocks, 11.7 MB of data, 900 symbols between two modules, nearly 13 MB in all.
///
/// Made up, because a real one cannot be built without tools for that language; only the shape is that of one.
pub(crate) fn giant() -> Vec<u8> {
    let mut component = wat(&agents::echo());
    let section = |part: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        part(&mut bytes);
        bytes
    };
    // The agent has two core modules and as many core instances already; these come after them.
    let library = library();
    let interpreter = interpreter();
    component.extend(section(&|to| {
        ModuleSection(&library).append_to_component(to)
    }));
    component.extend(section(&|to| {
        ModuleSection(&interpreter).append_to_component(to)
    }));
    let mut instances = InstanceSection::new();
    instances.instantiate(2, std::iter::empty::<(&str, ModuleArg)>());
    instances.instantiate(3, [("library", ModuleArg::Instance(2))]);
    component.extend(section(&|to| instances.append_to_component(to)));
    component
}

/// Symbols for the other module.
fn library() -> Module {
    let (mut types, mut functions, mut exports, mut code) = (
        TypeSection::new(),
        FunctionSection::new(),
        ExportSection::new(),
        CodeSection::new(),
    );
    types.ty().function([ValType::I32], [ValType::I32]);
    for symbol in 0..SYMBOLS {
        functions.function(0);
        exports.export(&format!("_symbol_{symbol}"), ExportKind::Func, symbol);
        code.function(&small(symbol));
    }
    let mut module = Module::new();
    module
        .section(&types)
        .section(&functions)
        .section(&exports)
        .section(&code);
    module
}

fn interpreter() -> Module {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32], [ValType::I32]);
    let mut imports = ImportSection::new();
    for symbol in 0..SYMBOLS {
        imports.import(
            "library",
            &format!("_symbol_{symbol}"),
            EntityType::Function(0),
        );
    }
    let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
    for number in 1..FUNCTIONS - SYMBOLS {
        functions.function(0);
        code.function(&small(number));
    }
    functions.function(0);
    code.function(&switch());
    let mut memories = MemorySection::new();
    let minimum = (DATA as u64).div_ceil(65_536) + 1;
    memories.memory(MemoryType {
        minimum,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut globals = GlobalSection::new();
    for _ in 0..SYMBOLS {
        let ty = GlobalType {
            val_type: ValType::I32,
            mutable: true,
            shared: false,
        };
        globals.global(ty, &ConstExpr::i32_const(0));
    }
    let mut data = DataSection::new();
    // Not zeroes, which would be left out of the compiled file.
    let bytes = (0..DATA).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8);
    data.active(0, &ConstExpr::i32_const(0), bytes);
    let mut module = Module::new();
    module
        .section(&types)
        .section(&imports)
        .section(&functions)
        .section(&memories)
        .section(&globals)
        .section(&code)
        .section(&data);
    module
}

/// A few dozen instructions with a loop, a branch and memory, different for each number.
fn small(number: u32) -> Function {
    let mut function = Function::new([(2, ValType::I32)]);
    let constant = Instruction::I32Const((number & 0xffff) as i32);
    function
        .instruction(&Instruction::Loop(BlockType::Empty))
        .instruction(&Instruction::LocalGet(0))
        .instruction(&constant)
        .instruction(&Instruction::I32Add)
        .instruction(&Instruction::LocalTee(1))
        .instruction(&Instruction::LocalGet(2))
        .instruction(&Instruction::I32Xor)
        .instruction(&Instruction::LocalSet(2))
        .instruction(&Instruction::LocalGet(1))
        .instruction(&Instruction::I32Const(1 << 16))
        .instruction(&Instruction::I32LtU)
        .instruction(&Instruction::BrIf(0))
        .instruction(&Instruction::End)
        .instruction(&Instruction::LocalGet(2))
        .instruction(&Instruction::If(BlockType::Empty))
        .instruction(&constant)
        .instruction(&Instruction::LocalSet(1))
        .instruction(&Instruction::End)
        .instruction(&Instruction::LocalGet(1))
        .instruction(&Instruction::End);
    function
}

/// The loop of an interpreter: a block for each case, and a table that leads to them.
fn switch() -> Function {
    let mut function = Function::new([(4, ValType::I32)]);
    for _ in 0..CASES {
        function.instruction(&Instruction::Block(BlockType::Empty));
    }
    let targets: Vec<_> = (0..TARGETS as u32).map(|target| target % CASES).collect();
    function
        .instruction(&Instruction::LocalGet(0))
        .instruction(&Instruction::BrTable(targets.into(), 0));
    // Each case has its share of the bytes.
    let mut step = Vec::new();
    for instruction in [
        Instruction::LocalGet(1),
        Instruction::I32Const(7),
        Instruction::I32Add,
        Instruction::LocalSet(1),
    ] {
        instruction.encode(&mut step);
    }
    let steps = SWITCH / CASES as usize / step.len();
    for _ in 0..CASES {
        function.instruction(&Instruction::End);
        function.raw(step.repeat(steps));
    }
    function
        .instruction(&Instruction::LocalGet(1))
        .instruction(&Instruction::End);
    function
}
