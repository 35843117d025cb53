//! Guests: the workspace members that are compiled to Wasm, found by what they are and not by a list.
//!
//! A guest is a member with a `cdylib` target. Those under `plugins/` ship with Kennel, those under `tests/guests/` serve
//! the tests. A guest's agent is named after its folder.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::cargo::{self, Artifact, Metadata, Package};
use crate::collect::{Agent, collect};
use crate::step::step;
use crate::wasm_target;

/// The workspace that the current folder is in.
pub(crate) struct Workspace {
    metadata: Metadata,
}

/// A workspace member that becomes a component.
#[derive(Debug)]
struct Guest {
    package: String,
    folder: PathBuf,
    name: String,
}

impl Workspace {
    /// Asks cargo; builds nothing.
    pub(crate) fn load() -> Result<Workspace> {
        Ok(Workspace {
            metadata: cargo::metadata(cargo::cargo())?,
        })
    }

    /// The workspace's top folder.
    pub(crate) fn root(&self) -> &Path {
        &self.metadata.workspace_root
    }

    /// The folder of everything that is built.
    pub(crate) fn target(&self) -> &Path {
        &self.metadata.target_directory
    }

    /// Where [`Workspace::build_plugins`] puts the agents that ship with Kennel.
    pub(crate) fn agents(&self) -> PathBuf {
        self.metadata.target_directory.join("agents")
    }

    /// Builds the agents that ship with Kennel; the Wasm target must be there.
    pub(crate) fn build_plugins(&self) -> Result<()> {
        self.build("plugins", &self.agents())
    }

    /// Builds the agents that only tests use, into `agents-test` beside the others; the Wasm target must be there.
    pub(crate) fn build_test_guests(&self) -> Result<()> {
        let folder = self.metadata.target_directory.join("agents-test");
        self.build("tests/guests", &folder)
    }

    fn build(&self, under: &str, folder: &Path) -> Result<()> {
        let guests = self.guests(under)?;
        if guests.is_empty() {
            return Ok(());
        }
        step(&format!("the agents under {under}/"), || {
            let collected = collect(&compile(self.root(), &guests)?, folder)?;
            Ok(format!("in {}: {collected}", folder.display()))
        })
    }

    fn guests(&self, under: &str) -> Result<Vec<Guest>> {
        let under = self.root().join(under);
        let members = self.metadata.packages.iter();
        members
            .filter(|package| package.manifest_path.starts_with(&under))
            .filter(|package| package.targets.iter().any(cargo::Target::is_cdylib))
            .map(guest)
            .collect()
    }
}

fn guest(package: &Package) -> Result<Guest> {
    let folder = package.manifest_path.parent();
    let name = folder.and_then(|folder| folder.file_name()?.to_str());
    let (Some(folder), Some(name)) = (folder, name) else {
        bail!(
            "{} does not lie in a folder whose name is text",
            package.manifest_path.display()
        );
    };
    Ok(Guest {
        package: package.id.clone(),
        name: name.to_owned(),
        folder: folder.to_owned(),
    })
}

/// Compiles all guests in one go, so that what they share is compiled once.
fn compile(root: &Path, guests: &[Guest]) -> Result<Vec<Agent>> {
    let mut command = cargo::cargo();
    command.current_dir(root).args([
        "build",
        "--lib",
        "--profile",
        "guest",
        "--target",
        wasm_target::TRIPLE,
    ]);
    for guest in guests {
        command.args(["--package", &guest.package]);
    }
    let artifacts = cargo::build(command)?;
    guests.iter().map(|guest| guest.built(&artifacts)).collect()
}

impl Guest {
    fn built(&self, artifacts: &[Artifact]) -> Result<Agent> {
        let mut own = artifacts
            .iter()
            .filter(|artifact| artifact.package_id == self.package && artifact.target.is_cdylib());
        let is_wasm = |file: &&PathBuf| {
            file.extension()
                .is_some_and(|extension| extension == "wasm")
        };
        let Some(wasm) = own.find_map(|artifact| artifact.filenames.iter().find(is_wasm)) else {
            bail!(
                "cargo built {} but named no .wasm file for it; is its crate type still `cdylib`?",
                self.folder.display()
            );
        };
        let manifest = self.folder.join(format!("{}.toml", self.name));
        Ok(Agent {
            name: self.name.clone(),
            wasm: wasm.clone(),
            manifest: manifest.is_file().then_some(manifest),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const CDYLIB: &str = "[lib]\ncrate-type = [\"cdylib\"]\n";
    const EXAMPLE: &str =
        "[[example]]\nname = \"e\"\npath = \"src/lib.rs\"\ncrate-type = [\"cdylib\"]\n";
    const BOTH: &str = "[lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n";

    /// A workspace with these members, each a folder and the end of its Cargo.toml.
    fn workspace(members: &[(&str, &str)]) -> (tempfile::TempDir, Workspace) {
        let root = tempfile::tempdir().expect("a temporary folder");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("it has a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        let folders: Vec<_> = members.iter().map(|(folder, _)| folder).collect();
        write(
            "Cargo.toml",
            &format!("[workspace]\nresolver = \"3\"\nmembers = {folders:?}\n"),
        );
        for (number, (folder, rest)) in members.iter().enumerate() {
            write(&format!("{folder}/src/lib.rs"), "");
            write(
                &format!("{folder}/Cargo.toml"),
                &format!("[package]\nname = \"member-{number}\"\n{rest}"),
            );
        }
        let mut command = cargo::cargo();
        command.current_dir(root.path());
        let metadata = cargo::metadata(command).expect("cargo understands it");
        let workspace = Workspace { metadata };
        (root, workspace)
    }

    fn names(guests: Result<Vec<Guest>>) -> Vec<String> {
        let mut names: Vec<_> = guests
            .expect("they can be named")
            .into_iter()
            .map(|guest| guest.name)
            .collect();
        names.sort();
        names
    }

    #[test]
    fn guests_are_the_members_of_a_folder_that_are_cdylibs() {
        let (_root, workspace) = workspace(&[
            ("host", ""),
            ("plugins/ocr", CDYLIB),
            ("plugins/word-count", BOTH),
            ("plugins/shared", ""),
            ("plugins/explained", EXAMPLE),
            ("plugins-old/ocr", CDYLIB),
            ("tests/guests/spin", CDYLIB),
            ("tests", ""),
        ]);
        assert_eq!(names(workspace.guests("plugins")), ["ocr", "word-count"]);
        assert_eq!(names(workspace.guests("tests/guests")), ["spin"]);
    }

    #[test]
    fn a_workspace_without_guests_builds_nothing() {
        let (root, workspace) = workspace(&[("host", "")]);
        workspace.build_plugins().expect("there is nothing to do");
        assert!(!root.path().join("target").exists());
    }

    #[test]
    fn a_guest_that_cargo_names_no_component_for_is_an_error() {
        let (_root, workspace) = workspace(&[("plugins/ocr", CDYLIB)]);
        let guests = workspace.guests("plugins").expect("it can be named");
        let error = guests[0].built(&[]).expect_err("nothing was built");
        assert!(
            error
                .to_string()
                .contains("plugins/ocr but named no .wasm file"),
            "{error}"
        );
    }
}
