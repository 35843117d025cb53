//! Files: a guest reaches what is below its granted directory, as far as it may, and nothing else.

use std::fs;
use std::os::unix::fs::symlink;

use crate::limits::Limits;
use crate::sandbox::Sandbox;
use crate::sandbox::testing::guest::ECHO;
use crate::sandbox::testing::imports::{FILES, using};
use crate::sandbox::testing::{Kennel, text};

/// Does with the first granted directory what the first byte of the input says - `r`ead, `w`rite, `t`runcate, `c`reate, `g`row to five
/// bytes, make a `s`ymbolic link to it, or `m`ove it - to the path that follows. Answers `ok`, `no` or, without a directory, `none`.
pub(super) fn explorer() -> String {
    let functions = [
        (
            "fs",
            "[method]descriptor.open-at",
            "(param i32 i32 i32 i32 i32 i32 i32)",
        ),
        (
            "fs",
            "[method]descriptor.symlink-at",
            "(param i32 i32 i32 i32 i32 i32)",
        ),
        (
            "fs",
            "[method]descriptor.rename-at",
            "(param i32 i32 i32 i32 i32 i32 i32)",
        ),
        ("fs", "[method]descriptor.set-size", "(param i32 i64 i32)"),
        ("preopens", "get-directories", "(param i32)"),
    ];
    let open = |op: char, open_flags: u32, flags: u32| {
        format!(
            "(if (i32.eq (local.get $op) (i32.const {})) (then
               (call $open-at (local.get $dir) (i32.const 1) (local.get $path) (local.get $len) (i32.const {open_flags}) (i32.const {flags}) (i32.const 64))))",
            u32::from(op)
        )
    };
    let body = format!(
        r#"(local $op i32) (local $dir i32) (local $path i32) (local $len i32)
        (i64.store (i32.const 512) (i64.load (i32.const 1024)))
        (call $get-directories (i32.const 64))
        (if (i32.eqz (i32.load (i32.const 68))) (then (return (call $text (i32.const 1028) (i32.const 4)))))
        (local.set $dir (i32.load (i32.load (i32.const 64))))
        (local.set $op (i32.load8_u (local.get $in)))
        (local.set $path (i32.add (local.get $in) (i32.const 1)))
        (local.set $len (i32.sub (local.get $in-len) (i32.const 1)))
        {} {} {} {} {}
        (if (i32.eq (local.get $op) (i32.const 103)) (then
          (call $set-size (i32.load (i32.const 68)) (i64.const 5) (i32.const 64))))
        (if (i32.eq (local.get $op) (i32.const 115)) (then
          (call $symlink-at (local.get $dir) (local.get $path) (local.get $len) (i32.const 1032) (i32.const 4) (i32.const 64))))
        (if (i32.eq (local.get $op) (i32.const 109)) (then
          (call $rename-at (local.get $dir) (local.get $path) (local.get $len) (local.get $dir) (i32.const 1036) (i32.const 5) (i32.const 64))))
        (if (i32.load8_u (i32.const 64)) (then (return (call $text (i32.const 1026) (i32.const 2)))))
        (call $text (i32.const 1024) (i32.const 2))"#,
        open('r', 0, 1),
        open('w', 0, 2),
        open('t', 8, 2),
        open('c', 1, 2),
        open('g', 1, 2),
    );
    crate::sandbox::testing::imports::with_fields(
        FILES,
        &functions,
        r#"(data (i32.const 1024) "oknononelinkmoved")"#,
        &body,
    )
}

/// A host where the agent's directory `data` holds `file`, `sub/inner`, links out of it, and a canary stands outside.
struct Place {
    kennel: Kennel,
}

impl Place {
    fn new() -> Self {
        let kennel = Kennel::new();
        let root = kennel.data.path();
        fs::create_dir_all(root.join("agent/data/sub")).expect("made");
        fs::write(root.join("agent/data/file"), "content").expect("written");
        fs::write(root.join("agent/data/sub/inner"), "content").expect("written");
        fs::write(root.join("agent/private"), "canary").expect("written");
        fs::write(root.join("canary"), "canary").expect("written");
        let data = root.join("agent/data");
        symlink("../private", data.join("out")).expect("linked");
        symlink(root.join("canary"), data.join("far-out")).expect("linked");
        symlink("/", data.join("root")).expect("linked");
        symlink("sub/../../private", data.join("through")).expect("linked");
        Self { kennel }
    }

    fn agent(&self, access: &str) -> Sandbox {
        let granted = format!("files = [{{ path = 'data', access = '{access}' }}]");
        self.kennel
            .load("agent", &explorer(), Limits::default(), &granted)
            .expect("loaded")
    }

    fn canaries_live(&self) -> bool {
        let root = self.kennel.data.path();
        ["canary", "agent/private"]
            .iter()
            .all(|file| fs::read_to_string(root.join(file)).is_ok_and(|text| text == "canary"))
    }
}

#[tokio::test]
async fn without_a_grant_there_is_no_directory() {
    let kennel = Kennel::new();
    assert_eq!(text(&kennel.agent(&explorer()), "rfile").await, "none");
    assert_eq!(
        text(&kennel.agent(&using(FILES, &[], ECHO)), "loads").await,
        "loads"
    );
}

#[tokio::test]
async fn a_directory_to_write_in_can_be_read_and_written() {
    let place = Place::new();
    let agent = place.agent("write");
    for good in [
        "rfile",
        "rsub/inner",
        "rsub/../file",
        "wfile",
        "cnew",
        "sfile",
        "mfile",
        "tsub/inner",
    ] {
        assert_eq!(text(&agent, good).await, "ok", "{good}");
    }
    let data = place.kennel.data.path().join("agent/data");
    assert!(data.join("new").is_file() && data.join("moved").is_file());
    assert_eq!(
        fs::metadata(data.join("sub/inner")).expect("there").len(),
        0
    );
}

#[tokio::test]
async fn a_directory_to_read_in_cannot_be_changed() {
    let place = Place::new();
    let agent = place.agent("read");
    assert_eq!(text(&agent, "rfile").await, "ok");
    for change in ["wfile", "tfile", "cnew", "sfile", "mfile"] {
        assert_eq!(text(&agent, change).await, "no", "{change}");
    }
    let data = place.kennel.data.path().join("agent/data");
    assert_eq!(
        fs::read_to_string(data.join("file")).expect("there"),
        "content"
    );
    assert!(!data.join("new").exists() && !data.join("moved").exists());
}

#[tokio::test]
async fn nothing_leads_out_of_a_granted_directory() {
    let place = Place::new();
    let agent = place.agent("write");
    for path in [
        "../private",
        "sub/../../private",
        "..",
        "/etc/passwd",
        "/",
        "out",
        "far-out",
        "root",
        "root/etc/passwd",
        "through",
        "out/",
        "far-out/",
        "./../private",
        "sub/../../../canary",
        "/proc/self/root/etc/passwd",
        "//etc/passwd",
        "",
    ] {
        for op in ["r", "w", "t"] {
            let answer = text(&agent, &format!("{op}{path}")).await;
            assert_eq!(answer, "no", "{op} {path:?}");
        }
    }
    for escape in [
        "s/etc/passwd",
        "m../private",
        "m/etc/passwd",
        "c../new",
        "cout/new",
        "croot/tmp/new",
    ] {
        assert_eq!(text(&agent, escape).await, "no", "{escape}");
    }
    assert!(place.canaries_live());
    assert!(!place.kennel.data.path().join("agent/new").exists());
}
