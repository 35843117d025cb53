//! What the tests run: the `kennel` binary and the agents, found beside the test's own executable.

use std::fs;
use std::path::{Path, PathBuf};

/// The `kennel` binary of the same profile as this test.
pub(crate) fn kennel_binary() -> PathBuf {
    built(own_profile().join("kennel"))
}

/// The top of the source tree.
pub(crate) fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("the tests are below the top")
        .to_owned()
}

/// Copies the agent `name` of `target/FOLDER`, with its manifest if it has one.
pub(super) fn copy(folder: &str, name: &str, to: &Path) {
    let folder = own_profile()
        .parent()
        .expect("a profile is below target")
        .join(folder);
    let wasm = built(folder.join(name).with_extension("wasm"));
    fs::copy(&wasm, to.join(name).with_extension("wasm")).expect("copied");
    let manifest = wasm.with_extension("toml");
    if manifest.exists() {
        fs::copy(&manifest, to.join(name).with_extension("toml")).expect("copied");
    }
}

/// The component of a guest of the tests.
pub(super) fn guest(name: &str) -> Vec<u8> {
    let folder = own_profile()
        .parent()
        .expect("a profile is below target")
        .join("agents-test");
    fs::read(built(folder.join(name).with_extension("wasm"))).expect("read")
}

/// `target/debug`: this executable is in its `deps`.
fn own_profile() -> PathBuf {
    let own = std::env::current_exe().expect("this executable has a path");
    own.ancestors()
        .nth(2)
        .expect("it is in target/PROFILE/deps")
        .to_owned()
}

#[track_caller]
fn built(path: PathBuf) -> PathBuf {
    assert!(
        path.exists(),
        "{} is not there; build it and run the tests with `cargo xtask test`",
        path.display()
    );
    path
}
