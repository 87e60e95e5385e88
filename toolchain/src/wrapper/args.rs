//! gcc's command line, as far as needed to tell compiling from linking.

use std::ffi::OsString;

/// What the call should do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// `-c`, `-S`, `-E`, `-M`: anything that ends before the linker.
    Compile,
    /// An image.
    #[default]
    Link,
    /// `-r`: one object out of several.
    Relocatable,
    /// Questions such as `--version`.
    Ask,
}

/// A parsed command line.
#[derive(Debug, Default)]
pub struct Args {
    /// What it should do.
    pub action: Action,
    /// Arguments for gcc, in order: without those that would make anything but a static PIE, and without libraries.
    pub rest: Vec<Arg>,
    /// `-o`.
    pub output: Option<OsString>,
    /// `-nostdlib` or `-nodefaultlibs`.
    pub no_libraries: bool,
    /// `-nostdlib` or `-nostartfiles`.
    pub no_start: bool,
    /// Folders of `-L`, in order.
    pub folders: Vec<OsString>,
    /// An option that cannot be honoured, with the reason.
    pub refused: Option<String>,
}

/// One argument that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arg {
    /// Passed as it is.
    Plain(OsString),
    /// `-lNAME`: to be looked for in our folders only.
    Library(String),
}

/// Options whose value, if not attached, is the next argument.
const WITH_VALUE: [&str; 25] = [
    "-x",
    "-I",
    "-D",
    "-U",
    "-include",
    "-imacros",
    "-isystem",
    "-idirafter",
    "-iquote",
    "-iprefix",
    "-iwithprefix",
    "-isysroot",
    "--sysroot",
    "-T",
    "-u",
    "-Xlinker",
    "-Xassembler",
    "-Xpreprocessor",
    "-z",
    "-e",
    "-MF",
    "-MT",
    "-MQ",
    "--param",
    "-B",
];
/// An image is always a static PIE without a red zone: asking for that is redundant, and asking for another form is
/// ignored (build systems add these without meaning it). Exporting names would keep every function in the image, and
/// nothing could look them up.
const DROPPED: [&str; 18] = [
    "-static",
    "-static-pie",
    "-pie",
    "-no-pie",
    "-nopie",
    "-fno-pie",
    "-fno-PIE",
    "-fno-pic",
    "-fno-PIC",
    "-mred-zone",
    "-rdynamic",
    "-static-libgcc",
    "-shared-libgcc",
    "-static-libstdc++",
    "-Wl,-E",
    "-Wl,--export-dynamic",
    "-Wl,-export-dynamic",
    "-Wl,-Bstatic",
];
const COMPILE: [&str; 6] = ["-c", "-S", "-E", "-M", "-MM", "-fsyntax-only"];

/// Replaces `@FILE` by the words in FILE, as gcc does: blanks separate, quotes group, a backslash takes the next character.
/// A name that cannot be read stays as it is.
pub fn expand(args: Vec<OsString>) -> Vec<OsString> {
    let mut out = Vec::new();
    for arg in args {
        match arg.to_str().and_then(|a| a.strip_prefix('@')).and_then(|f| std::fs::read_to_string(f).ok()) {
            Some(text) => out.extend(expand(words(&text))),
            None => out.push(arg),
        }
    }
    out
}

fn words(text: &str) -> Vec<OsString> {
    let (mut all, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) => word.get_or_insert_default().extend(chars.next()),
            (c, Some(q)) if c == q => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => all.extend(word.take().map(OsString::from)),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    all.extend(word.map(OsString::from));
    all
}

/// Reads a command line.
pub fn parse(args: Vec<OsString>) -> Args {
    let mut parsed = Args::default();
    let (mut inputs, mut asks) = (false, false);
    let mut args = expand(args).into_iter();
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy().into_owned();
        match text.as_str() {
            t if DROPPED.contains(&t) => continue,
            t if COMPILE.contains(&t) => {
                parsed.action = Action::Compile;
                parsed.rest.push(Arg::Plain(arg));
            }
            "-r" => {
                parsed.action = Action::Relocatable;
                parsed.rest.push(Arg::Plain(arg));
            }
            "-o" => parsed.output = args.next(),
            t if t.starts_with("-o") => parsed.output = Some(text[2..].into()),
            "-L" => parsed.folders.extend(args.next()),
            t if t.starts_with("-L") => parsed.folders.push(text[2..].into()),
            "-l" => parsed.rest.extend(args.next().map(|n| Arg::Library(n.to_string_lossy().into_owned()))),
            t if t.starts_with("-l") => parsed.rest.push(Arg::Library(text[2..].into())),
            "-nostdlib" => (parsed.no_libraries, parsed.no_start) = (true, true),
            "-nodefaultlibs" | "-nolibc" => parsed.no_libraries = true,
            "-nostartfiles" => parsed.no_start = true,
            "-shared" | "-dynamiclib" | "-Wl,-shared" => {
                parsed.refused = Some(
                    "-shared: an image is one static program, there are no shared libraries; link them as .a".into(),
                );
            }
            "-m32" | "-mx32" => parsed.refused = Some(format!("{text}: images are 64-bit programs")),
            t if WITH_VALUE.contains(&t) => {
                parsed.rest.push(Arg::Plain(arg));
                parsed.rest.extend(args.next().map(Arg::Plain));
            }
            t => {
                asks |= t.starts_with("-print-")
                    || t.starts_with("-dump")
                    || ["--version", "-v", "-###", "--help"].contains(&t);
                inputs |= !t.starts_with('-') || t == "-";
                parsed.rest.push(Arg::Plain(arg));
            }
        }
    }
    if asks && !inputs {
        parsed.action = Action::Ask;
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Args {
        parse(line.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn actions() {
        assert_eq!(of("-c a.c").action, Action::Compile);
        assert_eq!(of("a.c -o a").action, Action::Link);
        assert_eq!(of("-v").action, Action::Ask);
        assert_eq!(of("-v a.c").action, Action::Link);
        assert_eq!(of("-r a.o -o b.o").action, Action::Relocatable);
        assert_eq!(of("-E -").action, Action::Compile);
    }

    #[test]
    fn what_stays() {
        let a = of("-static -I inc -Lx -L y a.c -lz -l m -no-pie -oout");
        assert_eq!(a.folders, ["x", "y"]);
        assert_eq!(a.output, Some("out".into()));
        let plain = |s: &str| Arg::Plain(s.into());
        assert_eq!(
            a.rest,
            [plain("-I"), plain("inc"), plain("a.c"), Arg::Library("z".into()), Arg::Library("m".into())]
        );
    }

    #[test]
    fn response_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rsp");
        std::fs::write(&file, "-c 'a b.c'\n \"-DX=\\\"y\\\"\" ''").unwrap();
        let args = expand(vec![format!("@{}", file.display()).into(), "@none".into()]);
        assert_eq!(args, ["-c", "a b.c", "-DX=\"y\"", "", "@none"]);
    }

    #[test]
    fn refusals() {
        assert!(of("-shared a.o").refused.is_some());
        assert!(of("-nostdlib a.o").no_start);
    }
}
