//! Assembling the parts, with the wrappers and the files that build systems need.

use super::{Part, stamp_path};
use crate::{files, wrapper};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// The wrappers' suffixes.
pub const WRAPPERS: [&str; 12] =
    ["gcc", "cc", "g++", "c++", "cpp", "ar", "ranlib", "ld", "nm", "objcopy", "strip", "pkg-config"];
/// Host programs that serve as wrappers unchanged, named for build systems that derive their names from the triple.
const TRIPLE: &str = wrapper::PREFIX;

pub fn install(prefix: &Path, parts: &[Part], stamp: &str) -> Result<()> {
    let parent = prefix.parent().context("the sysroot cannot be the root folder")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let name = prefix.file_name().unwrap_or_default().to_string_lossy();
    // Beside the sysroot, so that moving it into place is a rename.
    let new = tempfile::Builder::new()
        .prefix(&format!(".{name}-"))
        .tempdir_in(parent)
        .with_context(|| format!("cannot write to {}", parent.display()))?;
    for part in parts {
        files::copy_tree(&part.dir, new.path())?;
    }
    let bin = new.path().join("bin");
    fs::create_dir_all(&bin)?;
    fs::copy(std::env::current_exe()?, bin.join("unibody")).context("cannot copy this program into the sysroot")?;
    for suffix in WRAPPERS {
        symlink("unibody", bin.join(format!("{TRIPLE}{suffix}")))?;
    }
    fs::create_dir_all(new.path().join("lib/pkgconfig"))?;
    let share = new.path().join("share");
    fs::create_dir_all(share.join("cmake"))?;
    fs::create_dir_all(share.join("meson"))?;
    fs::write(share.join("cmake/unikernel.cmake"), cmake(prefix))?;
    fs::write(share.join("meson/unikernel.ini"), meson(prefix))?;
    fs::create_dir_all(share.join("unibody"))?;

    files::remove(&stamp_path(prefix))?;
    files::move_over(new.path(), prefix)?;
    files::write(&stamp_path(prefix), stamp)
}

fn cmake(prefix: &Path) -> String {
    let p = prefix.display();
    format!(
        "# cmake -DCMAKE_TOOLCHAIN_FILE={p}/share/cmake/unikernel.cmake\n\
         # Images run on Linux, so this is no cross build to CMake: its probes may run what they build.\n\
         set(CMAKE_C_COMPILER {p}/bin/{TRIPLE}gcc)\n\
         set(CMAKE_CXX_COMPILER {p}/bin/{TRIPLE}g++)\n\
         # There is no C++ runtime library yet: C++ may be compiled, not linked.\n\
         set(CMAKE_CXX_COMPILER_WORKS TRUE)\n\
         set(CMAKE_AR {p}/bin/{TRIPLE}ar)\n\
         set(CMAKE_RANLIB {p}/bin/{TRIPLE}ranlib)\n\
         set(CMAKE_NM {p}/bin/{TRIPLE}nm)\n\
         set(CMAKE_STRIP {p}/bin/{TRIPLE}strip)\n\
         set(CMAKE_OBJCOPY {p}/bin/{TRIPLE}objcopy)\n\
         set(PKG_CONFIG_EXECUTABLE {p}/bin/{TRIPLE}pkg-config)\n\
         set(CMAKE_FIND_ROOT_PATH {p})\n\
         set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)\n\
         set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)\n\
         set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)\n\
         set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)\n\
         set(BUILD_SHARED_LIBS OFF)\n\
         set(CMAKE_POSITION_INDEPENDENT_CODE ON)\n"
    )
}

fn meson(prefix: &Path) -> String {
    let p = prefix.display();
    format!(
        "# meson setup build --cross-file {p}/share/meson/unikernel.ini\n\
         [binaries]\n\
         c = '{p}/bin/{TRIPLE}gcc'\n\
         cpp = '{p}/bin/{TRIPLE}g++'\n\
         ar = '{p}/bin/{TRIPLE}ar'\n\
         nm = '{p}/bin/{TRIPLE}nm'\n\
         strip = '{p}/bin/{TRIPLE}strip'\n\
         objcopy = '{p}/bin/{TRIPLE}objcopy'\n\
         pkg-config = '{p}/bin/{TRIPLE}pkg-config'\n\
         [built-in options]\n\
         default_library = 'static'\n\
         b_staticpic = true\n\
         [properties]\n\
         needs_exe_wrapper = false\n\
         [host_machine]\n\
         system = 'linux'\n\
         cpu_family = 'x86_64'\n\
         cpu = 'x86_64'\n\
         endian = 'little'\n"
    )
}
