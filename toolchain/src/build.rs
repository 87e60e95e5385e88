//! `unibody build`: a port, a C file, or a folder with a `unibody.toml` becomes an image.

use crate::image::make;
use crate::ports::{self, Options};
use crate::{command, files, sysroot, wrapper};
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use unibody_proto::params::key;

/// A project's file.
const FILE: &str = "unibody.toml";

/// `unibody.toml`: either sources that the tool compiles, or a command that builds them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Project {
    /// The image's name; the folder's by default.
    name: Option<String>,
    /// C and assembler files.
    #[serde(default)]
    sources: Vec<PathBuf>,
    /// Flags for compiling.
    #[serde(default)]
    cflags: Vec<String>,
    /// Libraries and flags for linking.
    #[serde(default)]
    ldflags: Vec<String>,
    /// Instead of `sources`: a command, run with `CC` set to the wrapper.
    #[serde(default)]
    make: Vec<String>,
    /// The image that `make` produces.
    image: Option<PathBuf>,
    /// The folder that becomes the root file system.
    rootfs: Option<PathBuf>,
    /// Program arguments.
    #[serde(default)]
    args: Vec<String>,
    /// Environment.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Ports that `unibody run` forwards.
    #[serde(default)]
    publish: Vec<String>,
}

/// Builds what the user named and returns the image's path.
pub fn build(what: &str, options: &Options) -> Result<PathBuf> {
    let path = Path::new(what);
    if path.is_dir() && path.join(FILE).is_file() {
        return project(path, options);
    }
    let extension = path.extension().and_then(|e| e.to_str());
    if matches!(extension, Some("c" | "s" | "S")) {
        ensure!(path.is_file(), "there is no file {what}");
        let output = options
            .output
            .clone()
            .unwrap_or_else(|| PathBuf::from(path.with_extension("img").file_name().unwrap_or_default()));
        let alone = Project {
            sources: vec![std::path::absolute(path)?],
            cflags: vec!["-O2".into(), "-g".into()],
            ..Project::default()
        };
        return link(&alone, Path::new("."), &output, options);
    }
    if matches!(extension, Some("cc" | "cpp" | "cxx" | "C")) {
        bail!("{what} is a C++ file: there is no C++ runtime library in the sysroot yet");
    }
    if ports::exists(options.sysroot.kernel_source.as_deref(), what) {
        return ports::build(what, options);
    }
    ensure!(!path.is_dir(), "{what} has no {FILE}: it names sources = [\"main.c\"], or make and image");
    bail!("{what} is no port (`unibody ports` lists them), no C file and no folder with a {FILE}");
}

fn project(dir: &Path, options: &Options) -> Result<PathBuf> {
    let file = dir.join(FILE);
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let project: Project = toml::from_str(&text).with_context(|| format!("in {}", file.display()))?;
    if project.sources.is_empty() == project.make.is_empty() || project.make.is_empty() != project.image.is_none() {
        bail!("{}: either sources, or make and image are needed", file.display());
    }
    let folder = dir.canonicalize()?.file_name().map(|n| n.to_string_lossy().into_owned());
    let name = project.name.clone().or(folder).unwrap_or_else(|| "program".into());
    let output = options.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.img")));
    link(&project, dir, &output, options)
}

fn link(project: &Project, dir: &Path, output: &Path, options: &Options) -> Result<PathBuf> {
    let sysroot = sysroot::ensure(&options.sysroot)?;
    let work = tempfile::tempdir()?;
    let root = work.path().join("rootfs");
    fs::create_dir(&root)?;
    if let Some(folder) = &project.rootfs {
        files::copy_tree(&dir.join(folder), &root)?;
    }
    let env: Vec<_> = project.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
    make::write_params(&root, &[(key::ARG, &project.args), (key::ENV, &env), (key::TOOL_PUBLISH, &project.publish)])?;
    let gcc = sysroot.join("bin").join(format!("{}gcc", wrapper::PREFIX));
    let built = match &project.image {
        Some(image) => dir.join(image),
        None => work.path().join("image"),
    };
    let mut command = if project.make.is_empty() {
        let mut command = Command::new(&gcc);
        command.args(&project.cflags).args(&project.sources).arg("-o").arg(&built).args(&project.ldflags);
        command
    } else {
        files::remove(&built)?;
        let mut command = Command::new(&project.make[0]);
        command.args(&project.make[1..]).env("CC", &gcc).env("PATH", sysroot::search_path(&sysroot));
        command
    };
    command
        .current_dir(dir)
        .env(wrapper::ROOTFS, &root)
        .env(wrapper::DEBUG, if options.sysroot.debug { "1" } else { "0" });
    // The compiler prints to the terminal itself: its messages have colours and positions.
    let status = command.status().with_context(|| format!("cannot run {}", command::line(&command)))?;
    ensure!(status.success(), "{} failed ({status})", command::line(&command));
    make::deliver(&built, output)?;
    Ok(output.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_files() {
        let p: Project = toml::from_str("sources = [\"a.c\"]\nargs = [\"x y\"]\n[env]\nA = \"1\"\n").unwrap();
        assert_eq!((p.args, p.env["A"].as_str()), (vec!["x y".to_owned()], "1"));
        assert!(toml::from_str::<Project>("surces = []").is_err());
    }

    #[test]
    fn unknown_things_are_named() {
        let options = Options::default();
        assert!(build("no-such-thing", &options).unwrap_err().to_string().contains("no-such-thing is no port"));
        assert!(build("no-such.c", &options).unwrap_err().to_string().contains("no file"));
    }
}
