//! Files that the kernel would create from the user's options but that the user supplied: they are never written to,
//! and options that therefore have no effect on them are reported.

use super::options::RunArgs;
use crate::image::Image;
use anyhow::Result;
use std::path::Path;
use unibody_proto::{cpio, note};

/// One line for each option that has no effect on its file.
pub fn left_alone(args: &RunArgs, image: &Image) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for (given, option, file) in [
        (!args.dns.is_empty(), "--dns", "etc/resolv.conf"),
        (!args.dns_search.is_empty(), "--dns-search", "etc/resolv.conf"),
        (args.hostname.is_some(), "--hostname", "etc/hostname"),
        (args.hostname.is_some(), "--hostname", "etc/hosts"),
    ] {
        let resolver = file == "etc/resolv.conf";
        if given && resolver && !image.has(note::NET) {
            lines.push(format!("{option} changes nothing: {} opens no sockets", args.image.display()));
        } else if given && let Some(whose) = whose(args, image, file)? {
            lines.push(format!("{option} does not change /{file}: that comes from {whose} and is left alone"));
        }
    }
    Ok(lines)
}

/// Where the program's `/file` comes from, unless the kernel makes it.
pub fn whose(args: &RunArgs, image: &Image, file: &str) -> Result<Option<String>> {
    let path = Path::new("/").join(file);
    let volumes =
        args.volume.iter().map(|share| (Path::new(&share.at), format!("-v {}", Path::new(&share.dir).display())));
    let disks = args.disk.iter().map(|disk| (Path::new(&disk.path), format!("--disk {}", disk.file.display())));
    let above = volumes.chain(disks).filter(|(at, _)| path.starts_with(at));
    if let Some((_, mount)) = above.max_by_key(|(at, _)| at.components().count()) {
        return Ok(Some(mount));
    }
    if let Some(dir) = &args.rootfs
        && dir.join(file).symlink_metadata().is_ok()
    {
        return Ok(Some(format!("--rootfs {}", dir.display())));
    }
    let in_image = cpio::entries(image.root()?).flatten().any(|entry| entry.name == file.as_bytes());
    Ok(in_image.then(|| "the image".to_owned()))
}
