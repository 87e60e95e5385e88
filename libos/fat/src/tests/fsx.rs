//! Random operations on files against a model of them, with one thread and with two; then `fsck.vfat`.

use super::*;

struct Model {
    data: Vec<u8>,
}

fn step(fs: &Fs, name: &str, m: &mut Model, random: &mut Random, max: u64) {
    let f = fs.create(name);
    let at = random.below(max);
    let most = if random.below(4) == 0 { 20_000 } else { 700 };
    let n = 1 + random.below(most) as usize;
    match random.below(12) {
        0..=3 => {
            let data: Vec<u8> = (0..n).map(|i| (random.0 as usize + i) as u8 | 1).collect();
            assert_eq!(write(&f, at, &data), Ok(n));
            let end = at as usize + n;
            if m.data.len() < end {
                m.data.resize(end, 0);
            }
            m.data[at as usize..end].copy_from_slice(&data);
        }
        4..=7 => {
            let got = read(&f, at, n).unwrap();
            let from = m.data.len().min(at as usize);
            let want = &m.data[from..m.data.len().min(at as usize + n)];
            assert!(got == want, "{name}: read {n} at {at} of {}", m.data.len());
        }
        8 => {
            fs.truncate(name, at).unwrap();
            m.data.resize(at as usize, 0);
        }
        9 => {
            f.sync(random.below(2) == 0).unwrap();
        }
        10 => {
            // Cached pages are dropped: the device must have the data.
            let inode = fs.inode(name).unwrap();
            let cache = inode.cache().unwrap();
            cache.flush(0..u64::MAX).unwrap();
            cache.invalidate(0..u64::MAX);
        }
        _ => match random.below(8) {
            0 => fs.vol.sync_all().unwrap(),
            1 => {
                drop(f);
                fs.unlink(name).unwrap();
                m.data.clear();
            }
            2 => {
                fs.rename(name, &format!("{name}.other")).unwrap();
                fs.rename(&format!("{name}.other"), name).unwrap();
            }
            _ => {
                let end = at + n as u64;
                fs.inode(name).unwrap().allocate(libos_base::abi::FallocateMode::empty(), at, n as u64).unwrap();
                if m.data.len() < end as usize {
                    m.data.resize(end as usize, 0);
                }
            }
        },
    }
}

fn run(shape: &Shape, seed: u64, threads: usize, steps: usize) {
    let mut fs = Fs::new(shape);
    let mut models: Vec<Model> = (0..threads).map(|_| Model { data: Vec::new() }).collect();
    for round in 0..2 {
        std::thread::scope(|s| {
            for (t, m) in models.iter_mut().enumerate() {
                let fs = &fs;
                s.spawn(move || {
                    let mut random = Random(seed * 100 + round * 10 + t as u64);
                    for _ in 0..steps {
                        step(fs, &format!("/file of thread {t}"), m, &mut random, 120_000);
                    }
                });
            }
        });
        fs = fs.again();
        for (t, m) in models.iter().enumerate() {
            let got = fs.get(&format!("/file of thread {t}"));
            assert!(got.is_err() && m.data.is_empty() || got.unwrap() == m.data, "{} seed {seed} thread {t}", shape.0);
        }
    }
}

#[test]
fn one_thread() {
    for (i, shape) in SHAPES.iter().enumerate() {
        eprintln!("{}", shape.0);
        run(shape, i as u64, 1, 400);
    }
}

#[test]
fn two_threads() {
    for (i, shape) in SHAPES.iter().enumerate() {
        eprintln!("{}", shape.0);
        run(shape, 50 + i as u64, 2, 300);
    }
}

/// Volumes from `mkfs.vfat` work like the crate's, and `fsck.vfat` is satisfied after use.
#[test]
fn volumes_of_mkfs() {
    let Some(mkfs) = tool("mkfs.vfat") else { return };
    let kinds: [(&[&str], usize); 5] = [
        (&["-F", "12"], 2 << 20),
        (&["-F", "16", "-s", "1"], 8 << 20),
        (&["-F", "32", "-s", "1"], 36 << 20),
        (&["-F", "16", "-s", "4", "-n", "LABEL"], 20 << 20),
        (&["-S", "4096", "-s", "1"], 8 << 20),
    ];
    for (args, size) in kinds {
        let file = Temp::new(&vec![0; size]);
        let made = std::process::Command::new(&mkfs).args(args).arg(&file.0).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let mut fs = Fs::open_image(std::fs::read(&file.0).unwrap());
        let mut m = Model { data: Vec::new() };
        let mut random = Random(7);
        for _ in 0..150 {
            step(&fs, "/a file of some name", &mut m, &mut random, 60_000);
        }
        fs.mkdir("/dir").unwrap();
        fs.put("/dir/x", b"x");
        fs = fs.again();
        let mut names = fs.list("/");
        names.sort();
        assert!(names.contains(&"dir".to_string()) && names.len() <= 2, "{names:?}");
        assert_eq!(fs.get("/dir/x").unwrap(), b"x");
    }
}
