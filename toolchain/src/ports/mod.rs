//! Ports: recipes that turn a distribution's source package into an image, or into a library for one.

mod make;
mod recipe;

use crate::{apt, image, paths, sysroot};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::path::{Path, PathBuf};

pub use recipe::Recipe;

/// How to build.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where the image goes; `PORT.img` or `PORT-PROGRAM.img` in the current folder by default.
    pub output: Option<PathBuf>,
    /// The program's unpacked source, instead of the distribution's.
    pub source: Option<PathBuf>,
    /// Kernel components that are linked although the recipe leaves them out.
    pub with: Vec<String>,
    /// Which sysroot to use, and how to build it.
    pub sysroot: sysroot::Options,
}

/// A line of `unibody ports`.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    pub name: String,
    /// What it is.
    pub description: String,
    /// The version in the cache, which was built or would be. `None` before the first build.
    pub version: Option<String>,
    pub licence: String,
    /// What was tested with it.
    pub tested: String,
    /// Whether it makes an image; otherwise it is a library.
    pub image: bool,
}

/// All ports, by name.
pub fn list(project: Option<&Path>) -> Result<Vec<Listed>> {
    let dir = paths::project(project)?.join("ports");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.join(recipe::FILE).is_file() {
            let r = Recipe::read(&path)?;
            let version = apt::cached_version(&r.source.package);
            all.extend(r.programs.into_iter().map(|(program, p)| Listed {
                name: format!("{}:{program}", r.name),
                description: p.description,
                version: version.clone(),
                licence: r.licence.clone(),
                tested: p.tested,
                image: true,
            }));
            all.push(Listed {
                version,
                image: r.build.image.is_some(),
                name: r.name,
                description: r.description,
                licence: r.licence,
                tested: r.tested,
            });
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// `PORT` or `PORT:PROGRAM`.
fn split(name: &str) -> (&str, Option<&str>) {
    name.split_once(':').map_or((name, None), |(port, program)| (port, Some(program)))
}

/// Whether there is a port of this name, whichever of its programs is meant.
pub fn exists(project: Option<&Path>, name: &str) -> bool {
    let (port, _) = split(name);
    let plain = !port.is_empty() && !name.contains('/') && !port.starts_with('.');
    plain && paths::project(project).is_ok_and(|p| p.join("ports").join(port).join(recipe::FILE).is_file())
}

/// Builds a port's image and returns its path. DWARF goes to `IMAGE.debug`.
pub fn build(name: &str, options: &Options) -> Result<PathBuf> {
    let output = options.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.img", name.replace(':', "-"))));
    let image = cached_image(name, options)?;
    image::make::deliver(&image, &output)?;
    Ok(output)
}

/// Builds a port's image in the cache, unless an up-to-date one is there.
pub fn cached_image(name: &str, options: &Options) -> Result<PathBuf> {
    let project = paths::project(options.sysroot.kernel_source.as_deref())?;
    let (port, program) = split(name);
    if !exists(options.sysroot.kernel_source.as_deref(), name) {
        bail!("there is no port {port}; `unibody ports` lists them");
    }
    let recipe = Recipe::read(&project.join("ports").join(port))?;
    let target = recipe.target(program)?;
    let Some(artefact) = target.image else {
        bail!("{name} is a library for other ports: it makes no image");
    };
    let sysroot = sysroot::ensure(&options.sysroot)?;
    let build = make::Build {
        project: &project,
        sysroot: &sysroot,
        with: &options.with,
        debug: options.sysroot.debug,
        yes: options.sysroot.yes,
    };
    make::image(&build, &recipe, &target, artefact, options.source.as_deref())
}
