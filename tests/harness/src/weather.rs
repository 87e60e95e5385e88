//! Bulk data over bad links: lost, reordered and duplicated frames. How long it takes compared with Linux is what
//! `cargo unibody bench weather` shows; here every byte has to arrive, and disorder alone must not stop the flow.

use super::case::{Case, Need, Tally};
use super::context::Context;
use super::netns::{GUEST4, Netns, bare};
use super::process;
use super::qemu::{rewrite, write_script};
use super::vm::Vm;
use anyhow::{Context as _, Result, ensure};
use std::path::PathBuf;
use std::time::Duration;
use unibody_support::weather::{self, Forwarder, Weather};

const MAC: &str = "02:00:00:00:00:79";
/// Bytes of a transfer over a bad link.
const BYTES: u32 = 4 << 20;
/// The longest that a receiver may wait when nothing is lost.
const PAUSE: u64 = 1000;
/// How often a transfer may be tried: a busy computer lets guest and forwarder wait, too.
const TRIES: u32 = 3;

/// Losses with the short round trip, and with fewer bytes.
const SHORT: [(Weather, u32); 3] = [
    (Weather::losing(30, 20), BYTES / 4),
    (Weather::disorderly(20), BYTES),
    (Weather { loss: 10, ..Weather::disorderly(20) }, BYTES / 4),
];
const FULL: [(Weather, u32); 9] = [
    (Weather::losing(10, 20), BYTES),
    (Weather::losing(30, 20), BYTES),
    (Weather::losing(100, 20), BYTES),
    (Weather::losing(10, 200), BYTES),
    (Weather::losing(30, 200), BYTES),
    (Weather::losing(100, 200), BYTES),
    (Weather::disorderly(20), BYTES),
    (Weather::disorderly(200), BYTES),
    (Weather { loss: 10, ..Weather::disorderly(200) }, BYTES),
];

pub fn cases(all: &mut Vec<Case>, full: bool) {
    let limit = if full { 3600 } else { 240 };
    all.push(Case::new("net/weather", over_bad_links).needs(&[Need::Toolchain]).limit(limit));
}

struct Link<'a> {
    netns: Netns,
    forwarder: Forwarder,
    program: PathBuf,
    vm: Vm<'a>,
}

/// From the guest and to it.
fn over_bad_links(context: &Context) -> Result<Tally> {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(error) => return Ok(Tally::skip(format!("no TAP device: {error:#}"))),
    };
    if let Err(error) = weather::possible() {
        return Ok(Tally::skip(format!("{error:#}")));
    }
    netns.pin(guest(), MAC)?;
    let folder = context.scratch("weather")?;
    let forwarder = Forwarder { program: weather::build(&context.project, &folder)?, folder };
    // The forwarder is what the guest is connected to, whatever network it was promised.
    let change = rewrite(&format!("user,id=net*) set -- \"$@\" '{}' ;;", forwarder.netdev()));
    let script = write_script(&forwarder.folder, "qemu", &change)?;
    let program = context.net_program("weather")?;
    let image = program.to_str().context("an image with an odd name")?;
    let words = ["-m", "64M", "--net", "user", "--ip", GUEST4, "--ip6", "none", "--mac", MAC, image, "--", "serve"];
    let vm = Vm::start_with(context, words, |command| {
        command.env("UNIBODY_QEMU", &script);
    })?;
    process::eventually(Duration::from_secs(60), || {
        ensure!(vm.logs().contains("serving"), "the guest does not serve\n{}", vm.logs());
        Ok(())
    })?;
    let link = Link { netns, forwarder, program: program.clone(), vm };
    let weathers = if context.full { &FULL[..] } else { &SHORT };
    let mut longest = 0;
    for (number, &(weather, bytes)) in (1..).zip(weathers) {
        for way in ["from", "to"] {
            let pause = link.transfer(weather, number, way, bytes);
            longest = longest.max(pause.with_context(|| format!("{way} the guest, {}", weather.name()))?);
        }
    }
    Ok(Tally::pass(format!("{} kinds of weather, both ways; {longest} ms without data at most", weathers.len())))
}

fn guest() -> &'static str {
    bare(GUEST4)
}

impl Link<'_> {
    /// Fails if a byte is wrong, or if the receiver waits too long although nothing is lost. Returns how long.
    fn transfer(&self, weather: Weather, number: u32, way: &str, bytes: u32) -> Result<u64> {
        let words = [way, guest(), &bytes.to_string()];
        let mut tries = 1;
        loop {
            let seed = 100 * number + tries;
            let mut command = self.forwarder.command(&self.netns, weather, seed, &self.program, words)?;
            let said = process::run(&mut command, b"", Duration::from_secs(600))?.expect(0);
            let said = said.with_context(|| self.vm.logs())?.out();
            let number = |name: &str| {
                let word = said.split_whitespace().find_map(|word| word.strip_prefix(name));
                word.and_then(|n| n.parse::<u64>().ok()).with_context(|| format!("no {name} in {said}"))
            };
            let (pause, late, lost) = (number("pause=")?, number("late=")?, number("lost=")?);
            ensure!(weather.loss == 0 || lost > 0, "nothing was lost\n{said}");
            if weather.loss > 0 || pause <= PAUSE + late {
                return Ok(pause);
            }
            ensure!(tries < TRIES, "{pause} ms without data, of which the forwarder has caused {late} at most");
            tries += 1;
        }
    }
}
