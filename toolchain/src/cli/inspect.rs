//! `unibody inspect`.

use super::resolve;
use crate::image::Image;
use crate::image::hardening::Check;
use crate::image::report::{Report, report};
use crate::output;
use crate::state::{self, Record, entry::Entry};
use anyhow::Result;
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Show what is in an image, or what is known about a VM and what is in its image
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  unibody inspect ./hello.img\n  unibody inspect --security nginx.img\n  \
    unibody inspect --json web")]
pub struct Inspect {
    /// Image file, or name of a VM
    what: PathBuf,
    /// Only what protects the image
    #[arg(long)]
    security: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    vm: Option<&'a Record>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a Report>,
}

impl Inspect {
    pub fn run(self) -> Result<u8> {
        let vm = self.vm()?;
        let image = match &vm {
            // The image of an ended VM may be gone by now; the VM's record is shown all the same.
            Some(entry) => Image::open(Path::new(&entry.record.image)).and_then(|image| report(&image)).ok(),
            None => Some(report(&Image::open(&resolve::image(&self.what, Vec::new(), false)?)?)?),
        };
        if self.json {
            match (&image, self.security) {
                (Some(image), true) => output::json(&image.security)?,
                _ => output::json(&Shown { vm: vm.as_ref().map(|entry| &entry.record), image: image.as_ref() })?,
            }
            return Ok(0);
        }
        let mut text = String::new();
        if let Some(entry) = vm.as_ref().filter(|_| !self.security) {
            text += &about_vm(&entry.record);
        }
        if let Some(image) = &image {
            text += &if self.security { security(&image.security) } else { about_image(image) };
        }
        output::text(&text)?;
        Ok(0)
    }

    /// The VM of this name, unless the word is a file.
    fn vm(&self) -> Result<Option<Entry>> {
        let name = self.what.to_string_lossy();
        if name.contains('/') || self.what.exists() {
            return Ok(None);
        }
        state::open(&name).map(Some)
    }
}

fn about_vm(record: &Record) -> String {
    let mut rows = vec![
        ("VM", record.name.clone()),
        ("status", super::ps::status(record)),
        ("machine", format!("{}, {}, {} CPU(s)", record.machine, record.accel, record.smp)),
        ("memory", output::size(record.memory)),
        ("network", record.mac.as_ref().map_or(record.net.clone(), |mac| format!("{}, {mac}", record.net))),
        ("ports", record.publish.join(" ")),
        ("disks", record.disks.join(" ")),
        ("arguments", record.args.join(" ")),
        ("processes", format!("supervisor {}, VMM {}", record.supervisor, record.vmm)),
    ];
    if let Some(ended) = record.ended.as_ref().filter(|ended| !ended.reason.is_empty()) {
        rows.push(("reason", ended.reason.clone()));
    }
    let rows: Vec<_> = rows.into_iter().map(|(key, value)| vec![format!("{key}:"), value]).collect();
    output::table(&rows) + "\n"
}

fn about_image(image: &Report) -> String {
    let mut text = String::new();
    let size = |bytes: u64| output::size(bytes);
    let mut head = vec![
        vec!["image:".to_owned(), image.image.clone()],
        vec!["file:".to_owned(), size(image.file_size as u64)],
        vec!["needs:".to_owned(), format!("{} of memory at least", size(image.min_memory))],
    ];
    let components = if image.components.is_empty() { "none".to_owned() } else { image.components.join(" ") };
    head.push(vec!["components:".to_owned(), components]);
    head.extend(image.build_id.iter().map(|id| vec!["build-id:".to_owned(), id.clone()]));
    head.extend(image.entries.iter().map(|e| vec!["entry:".to_owned(), format!("{:#x} {}", e.address, e.protocol)]));
    head.extend(image.configuration.iter().map(|line| vec!["parameter:".to_owned(), line.clone()]));
    text += &output::table(&head);

    let mut rows = vec![["ADDRESS", "FILE", "MEMORY", "ALLOWS", "SECTIONS"].map(str::to_owned).to_vec()];
    rows.extend(image.segments.iter().map(|s| {
        let address = format!("{:#x}", s.address);
        vec![address, size(s.file_size), size(s.memory_size), s.protection.clone(), s.sections.join(" ")]
    }));
    text += &format!("\n{}", output::table(&rows));

    let mut rows = vec![["COMPONENT", "FILE", "MEMORY"].map(str::to_owned).to_vec()];
    rows.extend(image.sizes.iter().map(|s| vec![s.component.to_owned(), size(s.file), size(s.memory)]));
    text += &format!("\n{}", output::table(&rows));

    text += "\nSYSTEM CALLS\n";
    match &image.system_calls {
        None => text += "unknown: the symbol table was stripped\n",
        Some(_) if image.any_system_call => {
            text += "all: the program calls syscall() or pthread functions with numbers known only at run time\n";
        }
        Some(calls) => {
            let name = |support: &str, name: &str| match support {
                "full" => name.to_owned(),
                other => format!("{name} ({other})"),
            };
            let names: Vec<_> = calls.iter().map(|call| name(&call.support, &call.name)).collect();
            text += &format!("{} linked: {}\n", calls.len(), names.join(", "));
        }
    }
    text += "\nROOT FILE SYSTEM\n";
    let rows: Vec<_> =
        image.root.iter().map(|file| vec![file.mode.clone(), file.size.to_string(), file.path.clone()]).collect();
    text += &output::table(&rows);
    if rows.is_empty() {
        text += "none of its own\n";
    }
    let _ = write!(text, "\nSECURITY\n{}", security(&image.security));
    text
}

fn security(checks: &[Check]) -> String {
    let word = |holds: Option<bool>| match holds {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "unknown (stripped)",
    };
    let rows: Vec<_> = checks
        .iter()
        .map(|check| vec![check.property.to_owned(), word(check.holds).to_owned(), check.meaning.to_owned()])
        .collect();
    output::table(&rows)
}
