//! How to run a test program, as its source says in lines that begin with `//@`.

use anyhow::{Context, Result, bail};

/// All directives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directives {
    /// `args one "two words"`: arguments.
    pub args: Vec<String>,
    /// `env KEY="a value" ...`: environment.
    pub env: Vec<String>,
    /// `status 139`: the exit status in both lives.
    pub status: i32,
    /// `stdin "text\n"`: standard input.
    pub stdin: String,
    /// `smp 2`: processors of the VM.
    pub smp: u32,
    /// `memory 32M`: memory of the VM.
    pub memory: String,
    /// `timeout 120`: seconds that one run may take.
    pub timeout: u64,
    /// `cflags -O1`: added to the compiler's options.
    pub cflags: Vec<String>,
    /// `hosted no`: what is tested exists only in a VM.
    pub hosted: bool,
    /// `disk 64M`: the VM has a fresh FAT disk of that size, and `enter_scratch` goes there. It must be sound
    /// afterwards.
    pub disk: Option<String>,
    /// `again ARGS`: afterwards the program is started again on the same disk, with these arguments, and must exit with
    /// status 0: written data is there, however the first run ended. Its files are in the folder TEST_SCRATCH.
    pub again: Option<Vec<String>>,
    /// `tool run`: as a Linux process it runs under `unibody run --hosted`, with the image's own root.
    pub own_root: bool,
    /// `shows read write`: system calls whose rows in docs/SUPPORT.md are proved by this program ([`super::support`]).
    pub shows: Vec<String>,
    /// `network own`: the Linux process has a network with nothing but the loopback interface, as the VM has, in which
    /// it may do what it likes.
    pub own_network: bool,
    /// `user root`: the Linux process gives up privileges, so it must start with some.
    pub root: bool,
}

impl Default for Directives {
    fn default() -> Self {
        Self {
            args: Vec::new(),
            env: Vec::new(),
            status: 0,
            stdin: String::new(),
            smp: 1,
            memory: "64M".into(),
            timeout: 60,
            cflags: Vec::new(),
            hosted: true,
            own_root: false,
            shows: Vec::new(),
            own_network: false,
            root: false,
            disk: None,
            again: None,
        }
    }
}

/// Reads a source.
pub fn parse(source: &str) -> Result<Directives> {
    let mut found = Directives::default();
    for line in source.lines().filter_map(|line| line.strip_prefix("//@ ")) {
        let (key, rest) = line.split_once(' ').with_context(|| format!("'{line}' has no value"))?;
        let number = || rest.trim().parse::<u32>().with_context(|| format!("'{line}' needs a number"));
        match key {
            "args" => found.args = words(rest)?,
            "env" => found.env = words(rest)?,
            "status" => found.status = i32::try_from(number()?)?,
            "stdin" => found.stdin = words(rest)?.concat(),
            "smp" => found.smp = number()?,
            "memory" => rest.trim().clone_into(&mut found.memory),
            "timeout" => found.timeout = number()?.into(),
            "cflags" => found.cflags = words(rest)?,
            "hosted" => found.hosted = rest.trim() != "no",
            "disk" => found.disk = Some(rest.trim().to_owned()),
            "again" => found.again = Some(words(rest)?),
            "shows" => found.shows.extend(words(rest)?),
            "user" => found.root = rest.trim() == "root",
            "network" => found.own_network = rest.trim() == "own",
            "tool" => found.own_root = rest.trim() == "run",
            // For people who compile it with their machine's compiler: what it tests is specific to this project.
            "native" => {}
            _ => bail!("unknown directive '{line}'"),
        }
    }
    Ok(found)
}

/// Splits words; double quotes group, `\n`, `\t`, `\\` and `\"` are escapes inside them.
fn words(text: &str) -> Result<Vec<String>> {
    let mut all = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        if c == ' ' {
            chars.next();
            continue;
        }
        let mut word = String::new();
        let mut quoted = false;
        while let Some(&c) = chars.peek() {
            if c == ' ' && !quoted {
                break;
            }
            chars.next();
            match c {
                '"' => quoted = !quoted,
                '\\' if quoted => word.push(match chars.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some(other) => other,
                    None => bail!("a backslash ends '{text}'"),
                }),
                c => word.push(c),
            }
        }
        if quoted {
            bail!("a quote is open in '{text}'");
        }
        all.push(word);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting() {
        assert_eq!(
            words(r#"one "two words" "" a="b c" "\"x\"\n""#).unwrap(),
            ["one", "two words", "", "a=b c", "\"x\"\n"]
        );
        assert!(words("\"open").is_err());
    }

    #[test]
    fn all_of_them() {
        let text = "// words\n//@ status 139\n//@ smp 2\n//@ env A=\"b c\"\n//@ hosted no\n//@ disk 8M\n//@ shows read\n//@ shows write\nint main(void)";
        let d = parse(text).unwrap();
        assert_eq!(d.disk.as_deref(), Some("8M"));
        assert_eq!((d.status, d.smp, d.hosted), (139, 2, false));
        assert_eq!(d.env, ["A=b c"]);
        assert_eq!(d.shows, ["read", "write"]);
        assert!(parse("//@ stauts 1").is_err());
        assert!(parse("//@ smp two").is_err());
    }
}
