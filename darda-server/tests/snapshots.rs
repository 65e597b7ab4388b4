//! What clients rely on does not change unnoticed: every frame, the HTTP API's description, and that
//! the documents show them as they are.

#![expect(clippy::panic, reason = "a test fails by panicking")]

#[path = "support/frames.rs"]
mod frames;
#[path = "support/snapshot.rs"]
mod snapshot;

use std::collections::BTreeSet;
use std::path::Path;

use darda_server::wire;

fn document(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn snapshot_of_every_frame() {
    let differences: Vec<_> = frames::all()
        .iter()
        .filter_map(|frame| {
            snapshot::difference(&format!("frames/{}.json", frame.name), &frame.json)
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn snapshot_files_are_those_of_frames_that_exist() {
    let names: BTreeSet<_> = frames::all()
        .into_iter()
        .map(|frame| format!("{}.json", frame.name))
        .collect();
    let files: BTreeSet<_> = std::fs::read_dir(snapshot::path("frames"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, names);
}

#[test]
fn snapshot_of_the_http_api() {
    let json = darda_server::openapi_document().to_pretty_json().unwrap();
    if let Some(difference) = snapshot::difference("openapi.json", &json) {
        panic!("{difference}");
    }
}

#[test]
fn every_example_of_a_command_is_a_command() {
    for frame in frames::commands() {
        let request =
            wire::decode(&frame.json).unwrap_or_else(|error| panic!("{}: {error}", frame.name));
        assert!(matches!(request.id, 7 | 8), "{}", frame.name);
    }
}

#[test]
fn protocol_snapshot_frames_and_the_document_hold_each_other() {
    let document = document("docs/protocol.md");
    let shown: BTreeSet<&str> = document
        .split("```json\n")
        .skip(1)
        .flat_map(|block| block.split("```").next().unwrap_or_default().lines())
        .filter(|line| !line.is_empty())
        .collect();
    let frames = frames::all();
    let made: BTreeSet<&str> = frames.iter().map(|frame| frame.json.as_str()).collect();
    let missing: Vec<_> = made.difference(&shown).collect();
    assert!(missing.is_empty(), "not in docs/protocol.md: {missing:#?}");
    let stale: Vec<_> = shown.difference(&made).collect();
    assert!(
        stale.is_empty(),
        "in docs/protocol.md, but no frame: {stale:#?}"
    );
}

#[test]
fn protocol_document_names_every_error_code_and_close_code() {
    let document = document("docs/protocol.md");
    for code in darda_server::Code::ALL {
        let name = serde_json::to_value(code).unwrap();
        let name = name.as_str().unwrap();
        assert!(document.contains(&format!("| `{name}` |")), "{name}");
    }
    for close in darda_server::Close::ALL {
        assert!(
            document.contains(&format!("| {} |", close.code)),
            "{}",
            close.code
        );
    }
}

#[test]
fn readme_lists_every_setting_with_its_default() {
    let readme = document("darda-server/README.md");
    for setting in darda_server::settings::ALL {
        let default = if setting.default.is_empty() {
            "(empty)".to_owned()
        } else {
            format!("`{}`", setting.default)
        };
        let row = format!("| `{}` | {default} | {} |", setting.name, setting.meaning);
        assert!(readme.contains(&row), "README.md lacks or differs:\n{row}");
    }
}
