//! QEMU's monitor: QMP, one line of JSON per message.

use crate::vmm::{self, Processor};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

/// The monitor's socket. It accepts several lines at once, even before its greeting was read.
pub struct Monitor(pub UnixStream);

const POWER_DOWN: &[u8] = b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"system_powerdown\"}\n";
const REGISTERS: &[u8] = b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"stop\"}\n\
    {\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"info registers -a\"}}\n";

impl vmm::Monitor for Monitor {
    fn power_down(&mut self) {
        let _ = self.0.write_all(POWER_DOWN);
    }

    fn ask_processors(&mut self) {
        let _ = self.0.write_all(REGISTERS);
    }

    fn listen(&self, mut told: Box<dyn FnMut(Vec<Processor>) + Send>) -> io::Result<()> {
        let lines = BufReader::new(self.0.try_clone()?).lines();
        std::thread::spawn(move || {
            for text in lines.map_while(Result::ok).filter_map(|line| answer(&line)) {
                told(processors(&text));
            }
        });
        Ok(())
    }
}

/// The text in a line, if it is the answer to [`REGISTERS`]: most lines are of no interest.
fn answer(line: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(value.get("return")?.as_str()?.to_owned())
}

fn processors(registers: &str) -> Vec<Processor> {
    registers.split("CPU#").skip(1).filter_map(processor).collect()
}

/// `text`: whatever follows `CPU#`.
fn processor(text: &str) -> Option<Processor> {
    Some(Processor {
        number: text.split_whitespace().next()?.parse().ok()?,
        instruction: register(text, "RIP=")?,
        interrupts: register(text, "RFL=")? & 1 << 9 != 0,
        halted: register(text, "HLT=") == Some(1),
        idt: register(text, "IDT="),
    })
}

fn register(text: &str, name: &str) -> Option<u64> {
    let value = text[text.find(name)? + name.len()..].split_whitespace().next()?;
    u64::from_str_radix(value, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\r\nCPU#0\r\nRAX=0000000000000000 RBX=0000000000000001\r\n\
        RIP=00007f0000201010 RFL=00000046 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=0\r\n\
        GDT=     ffff900000001000 0000004f\r\nIDT=     00007f0000300000 00000fff\r\n\
        CPU#1\r\nRIP=00007f0000202000 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\n";

    #[test]
    fn registers() {
        let first = Processor {
            number: 0,
            instruction: 0x7f00_0020_1010,
            interrupts: false,
            halted: false,
            idt: Some(0x7f00_0030_0000),
        };
        let second = Processor { number: 1, instruction: 0x7f00_0020_2000, interrupts: true, halted: true, idt: None };
        assert_eq!(processors(TEXT), [first, second]);
        assert_eq!(processors("nonsense"), []);
    }

    #[test]
    fn only_a_text_is_the_answer() {
        assert_eq!(answer("{\"return\": \"CPU#0\\r\\n\"}").as_deref(), Some("CPU#0\r\n"));
        for other in ["{\"return\": {}}", "{\"event\": \"STOP\"}", "{\"QMP\": {}}", "no JSON"] {
            assert_eq!(answer(other), None, "{other}");
        }
    }
}
