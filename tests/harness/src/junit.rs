//! The result as JUnit XML, which CI systems read.

use super::pool::Done;
use anyhow::Result;
use std::fmt::Write;
use std::path::Path;

/// Writes the file.
pub fn write(path: &Path, results: &[Done]) -> Result<()> {
    unibody::files::write(path, xml(results))
}

fn xml(results: &[Done]) -> String {
    let failed = results.iter().filter(|done| !matches!(&done.result, Ok(tally) if tally.failed == 0)).count();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(text, "<testsuite name=\"unibody\" tests=\"{}\" failures=\"{failed}\">", results.len());
    for done in results {
        let (group, name) = done.name.split_once('/').unwrap_or(("", &done.name));
        let time = done.took.as_secs_f32();
        let _ =
            write!(text, "  <testcase classname=\"{}\" name=\"{}\" time=\"{time:.3}\"", escape(group), escape(name));
        let _ = match &done.result {
            Ok(tally) if tally.failed > 0 => {
                writeln!(
                    text,
                    "><failure message=\"{} failed\">{}</failure></testcase>",
                    tally.failed,
                    escape(&tally.note)
                )
            }
            Ok(tally) if tally.passed == 0 => {
                writeln!(text, "><skipped message=\"{}\"/></testcase>", escape(&tally.skipped.join("; ")))
            }
            Ok(_) => writeln!(text, "/>"),
            Err(error) => {
                writeln!(text, "><failure message=\"failed\">{}</failure></testcase>", escape(&format!("{error:#}")))
            }
        };
    }
    text + "</testsuite>\n"
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' | '\t' => out.push(c),
            // XML 1.0 has no way to spell the other control characters.
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::case::Tally;
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_kind() {
        let done = |name: &str, result| Done { name: name.into(), result, took: Duration::from_millis(1500) };
        let text = xml(&[
            done("a/ok", Ok(Tally::pass(""))),
            done("a/skip", Ok(Tally::skip("no \"x\""))),
            done("b/bad", Err(anyhow::anyhow!("1 < 2 \u{1b}[0m"))),
        ]);
        assert!(text.contains("tests=\"3\" failures=\"1\""), "{text}");
        assert!(text.contains("<testcase classname=\"a\" name=\"ok\" time=\"1.500\"/>"), "{text}");
        assert!(text.contains("<skipped message=\"no &quot;x&quot;\"/>"), "{text}");
        assert!(text.contains("1 &lt; 2 ?[0m</failure>"), "{text}");
    }
}
