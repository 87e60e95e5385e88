//! `port.toml`.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The recipe's file name.
pub const FILE: &str = "port.toml";

/// A recipe.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Folder and command-line name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// SPDX expression.
    pub licence: String,
    /// What was tested.
    pub tested: String,
    /// Library ports that it is built with.
    #[serde(default)]
    pub depends: Vec<String>,
    /// Where the source comes from.
    pub source: Source,
    /// How it is built.
    pub build: Build,
    /// More programs of the same source, each built when it is asked for as `PORT:PROGRAM`.
    #[serde(default)]
    pub programs: BTreeMap<String, Program>,
    /// Contents of the image's root file system.
    #[serde(default)]
    pub rootfs: Rootfs,
    /// Defaults for running it.
    #[serde(default)]
    pub run: Run,
    /// The folder of the recipe.
    #[serde(skip)]
    pub dir: PathBuf,
}

/// Where the source comes from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Source package.
    pub package: String,
}

/// How it is built. In commands, `{prefix}` is where a library is installed, `{cflags}` and `{ldflags}` point to the
/// libraries that it depends on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// Programs of this machine that the build needs.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Files and folders of the port that go into the program, for example a module; `{port}` is their folder.
    #[serde(default)]
    pub inputs: Vec<PathBuf>,
    /// Environment variables.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Run once in each tree.
    #[serde(default)]
    pub configure: Vec<String>,
    /// Further words of `configure`, for what differs between programs: see [`Program::options`].
    #[serde(default)]
    pub options: Vec<String>,
    /// Compiles and links; run again when the kernel changes, so it must relink when its result has been removed.
    pub make: Vec<String>,
    /// A library: installs to `{prefix}`.
    #[serde(default)]
    pub install: Vec<String>,
    /// Kernel components left out of the image to make it smaller.
    #[serde(default)]
    pub without: Vec<String>,
    /// A program: the image that `make` produces.
    pub image: Option<PathBuf>,
}

/// A further program of the same source.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// What it is.
    pub description: String,
    /// What was tested.
    pub tested: String,
    /// Ports of libraries that this program needs beyond the port's own.
    #[serde(default)]
    pub depends: Vec<String>,
    /// Instead of the port's own: then `configure` runs in a tree that only this program has. Without them it is built
    /// in the port's tree.
    #[serde(default)]
    pub options: Vec<String>,
    /// Compiles and links, like the port's own command.
    pub make: Vec<String>,
    /// What `make` leaves.
    pub image: PathBuf,
    /// Kernel components left out of the image.
    #[serde(default)]
    pub without: Vec<String>,
    /// Contents of the image's root file system; the port's by default.
    pub rootfs: Option<Rootfs>,
    /// Defaults for running it; the port's by default.
    pub run: Option<Run>,
}

/// Contents of the root file system.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rootfs {
    /// A folder of the recipe, copied whole.
    pub folder: Option<PathBuf>,
    /// Folders to create.
    #[serde(default)]
    pub directories: Vec<PathBuf>,
    /// Files and folders copied from the source tree: target = source. A source that begins with `{NAME}` comes from
    /// the files that the library port NAME installed.
    #[serde(default)]
    pub copy: BTreeMap<PathBuf, PathBuf>,
}

/// Defaults for running it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Ports that `unibody run` forwards, as `-p` spells them.
    #[serde(default)]
    pub publish: Vec<String>,
    /// Arguments to use instead when run as a Linux process.
    #[serde(default)]
    pub hosted_args: Vec<String>,
}

/// One thing that a recipe makes.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// A further program's name; empty for the port's own.
    pub name: &'a str,
    /// Library ports beyond the recipe's.
    pub depends: &'a [String],
    /// The last words of `configure`.
    pub options: &'a [String],
    /// Whether it has a tree of its own, not the port's.
    pub apart: bool,
    pub make: &'a [String],
    /// The image that it produces; none for a library.
    pub image: Option<&'a Path>,
    /// Kernel components left out.
    pub without: &'a [String],
    /// The root file system.
    pub rootfs: &'a Rootfs,
    /// Defaults for running it.
    pub run: &'a Run,
}

impl Recipe {
    /// Reads the recipe in `dir`.
    pub fn read(dir: &Path) -> Result<Self> {
        let file = dir.join(FILE);
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let mut recipe: Self = toml::from_str(&text).with_context(|| format!("in {}", file.display()))?;
        dir.clone_into(&mut recipe.dir);
        Ok(recipe)
    }

    /// The target to build: the port's own program or library, or one of the further programs.
    pub fn target(&self, program: Option<&str>) -> Result<Target<'_>> {
        let Some(name) = program else {
            let Build { options, make, image, without, .. } = &self.build;
            return Ok(Target {
                name: "",
                depends: &[],
                options,
                apart: false,
                make,
                image: image.as_deref(),
                without,
                rootfs: &self.rootfs,
                run: &self.run,
            });
        };
        let Some((name, p)) = self.programs.get_key_value(name) else {
            bail!("the port {} has no program {name}; `unibody ports` lists them", self.name);
        };
        let apart = !p.options.is_empty();
        Ok(Target {
            name,
            depends: &p.depends,
            options: if apart { &p.options } else { &self.build.options },
            apart,
            make: &p.make,
            image: Some(&p.image),
            without: &p.without,
            rootfs: p.rootfs.as_ref().unwrap_or(&self.rootfs),
            run: p.run.as_ref().unwrap_or(&self.run),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipes_are_readable() {
        let ports = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("ports");
        for entry in std::fs::read_dir(ports).unwrap() {
            let dir = entry.unwrap().path();
            if dir.join(FILE).is_file() {
                let recipe = Recipe::read(&dir).unwrap();
                assert_eq!(recipe.name, dir.file_name().unwrap().to_str().unwrap());
            }
        }
    }

    #[test]
    fn further_programs() {
        let recipe: Recipe = toml::from_str(
            "name = 'a'\ndescription = ''\nlicence = ''\ntested = ''\n[source]\npackage = 'a'\n[build]\nmake = ['make']\n\
             image = 'a'\n[programs.b]\ndescription = ''\ntested = ''\nmake = ['make', 'b']\nimage = 'out/b'\n",
        )
        .unwrap();
        assert_eq!(recipe.target(None).unwrap().image, Some(Path::new("a")));
        assert_eq!(recipe.target(Some("b")).unwrap().image, Some(Path::new("out/b")));
        assert!(recipe.target(Some("c")).is_err());
    }

    #[test]
    fn what_a_program_takes_from_its_port() {
        let recipe: Recipe = toml::from_str(
            "name = 'a'\ndescription = ''\nlicence = ''\ntested = ''\n[source]\npackage = 'a'\n[build]\nmake = ['make']\n\
             image = 'a'\noptions = ['all']\n[rootfs]\ndirectories = ['data']\n[run]\nargs = ['-v']\n\
             [programs.same]\ndescription = ''\ntested = ''\nmake = ['make', 'b']\nimage = 'b'\n\
             [programs.less]\ndescription = ''\ntested = ''\noptions = ['some']\nmake = ['make']\nimage = 'a'\n\
             [programs.less.rootfs]\n[programs.less.run]\n",
        )
        .unwrap();
        let of = |program| {
            let target = recipe.target(program).unwrap();
            (target.options, target.apart, target.rootfs.directories.len(), target.run.args.len())
        };
        assert_eq!(of(None), (&["all".to_owned()][..], false, 1, 1));
        assert_eq!(of(Some("same")), of(None));
        assert_eq!(of(Some("less")), (&["some".to_owned()][..], true, 0, 0));
    }
}
