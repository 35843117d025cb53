//! Which imports are allowed, which are refused, and with which lines.

use super::*;

fn grants(text: &str) -> Grants {
    toml::from_str(text).expect("the test's grants")
}

fn refused(import: &str, needs: Option<&str>, granted: &str) -> Refusal {
    let agent = "greeter".parse().expect("a name");
    match verdict(import, &agent, needs.map(grants).as_ref(), &grants(granted)) {
        Verdict::Refused(refusal) => refusal,
        Verdict::Allowed(why) => panic!("{import} is allowed: {why}"),
    }
}

fn allowed(import: &str, needs: Option<&str>, granted: &str) -> bool {
    let agent = "greeter".parse().expect("a name");
    matches!(
        verdict(import, &agent, needs.map(grants).as_ref(), &grants(granted)),
        Verdict::Allowed(_)
    )
}

#[test]
fn harmless_interfaces_need_no_grant_whatever_their_version() {
    for import in [
        "kennel:agent/types@0.1.0",
        "kennel:agent/progress@0.1.0",
        "kennel:agent/blobs@0.1.0",
        "wasi:logging/logging@0.1.0-draft",
        "wasi:config/store@0.2.0-rc.1",
        "wasi:clocks/monotonic-clock@0.2.0",
        "wasi:random/random@0.2.12",
        "wasi:io/streams@0.2.6",
        "wasi:cli/terminal-stdout@0.2.3",
        "wasi:cli/environment@0.2.3",
        "wasi:filesystem/preopens@0.2.3",
    ] {
        assert!(allowed(import, None, ""), "{import}");
    }
}

#[test]
fn gated_interfaces_are_refused_with_the_line_that_would_allow_them() {
    for (import, line) in [
        (
            "wasi:http/outgoing-handler@0.2.4",
            "in kennel.toml:\n        [grants.greeter]\n        http = [\"https://api.example.com\"]",
        ),
        (
            "wasi:http/types@0.2.4",
            "in kennel.toml:\n        [grants.greeter]\n        http = [\"https://api.example.com\"]",
        ),
        (
            "kennel:agent/state@0.1.0",
            "in kennel.toml:\n        [grants.greeter]\n        state = true",
        ),
        (
            "kennel:agent/peers@0.1.0",
            "in kennel.toml:\n        [grants.greeter]\n        peers = [\"SKILL\"]",
        ),
        (
            "kennel:agent/events@0.1.0",
            "in kennel.toml:\n        [grants.greeter]\n        events = [\"TYPE\"]",
        ),
    ] {
        assert_eq!(refused(import, None, "").lines, [line]);
    }
    assert!(allowed("kennel:agent/state@0.1.0", None, "state = true"));
    assert!(allowed("kennel:agent/peers@0.1.0", None, "peers = ['ocr']"));
    assert!(allowed("kennel:agent/events@0.1.0", None, "events = ['a']"));
    assert!(allowed(
        "wasi:http/types@0.2.4",
        None,
        "http = ['https://a.example']"
    ));
}

#[test]
fn a_manifest_that_does_not_ask_gets_nothing_although_it_is_granted() {
    let refusal = refused("kennel:agent/state@0.1.0", Some(""), "state = true");
    assert_eq!(
        refusal.lines,
        ["in greeter.toml:\n        [needs]\n        state = true"]
    );
    let refusal = refused("kennel:agent/state@0.1.0", Some(""), "");
    assert_eq!(refusal.lines.len(), 2);
}

#[test]
fn needs_and_grants_that_do_not_meet_are_refused() {
    let refusal = refused(
        "wasi:http/types@0.2.4",
        Some("http = ['https://a.example']"),
        "http = ['https://b.example']",
    );
    assert!(
        refusal
            .reason
            .contains("nothing that its manifest asks for"),
        "{refusal:?}"
    );
}

#[test]
fn nothing_allows_sockets_unknown_interfaces_or_what_this_version_lacks() {
    let all = "state = true\nhttp = ['https://a.example']\npeers = ['ocr']";
    for (import, reason) in [
        ("wasi:sockets/tcp@0.2.0", "never provided"),
        (
            "wasi:http/incoming-handler@0.2.0",
            "not an interface that kennel knows",
        ),
        ("kennel:agent/model@0.1.0", "not provided by this version"),
        (
            "kennel:agent/statement@0.1.0",
            "not an interface that kennel knows",
        ),
        ("evil:host/escape", "not an interface that kennel knows"),
    ] {
        let refusal = refused(import, None, all);
        assert!(refusal.reason.contains(reason), "{refusal:?}");
        assert!(refusal.lines.is_empty());
    }
}

#[test]
fn a_hostile_name_is_shown_without_its_control_characters() {
    let refusal = refused("evil:\u{1b}[31m/\u{202e}x", None, "");
    assert!(
        refusal.import.chars().all(|c| c.is_ascii_graphic()),
        "{refusal:?}"
    );
}
