//! From a path to a place: components, `..`, symbolic links, mounts, trailing slashes
//! (POSIX.1-2017 4.13 Pathname Resolution; path_resolution(7)).

use super::Files;
use crate::dentry::{Dentry, Path};
use crate::inode::Follow;
use crate::permission::{self, Who};
use crate::walked;
use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use libos_base::abi::{DirFd, ResolveFlags, mode::S_IFLNK};
use libos_base::user::PATH_MAX;
use libos_base::{Errno, Result, bytes};

/// Most symbolic links in one walk.
const LINKS_MAX: u32 = 40;

/// The end of a walk that stopped before the last component.
pub enum Last {
    /// The path ends in `/`, `.` or `..`: the walk is at the object itself.
    Here,
    /// A name in the directory that the walk is at; see [`Walk::name`].
    Name(Range<usize>),
}

/// A walk in progress.
pub struct Walk<'a> {
    /// Where it is.
    pub at: Path,
    root: Path,
    text: Cow<'a, [u8]>,
    pos: usize,
    links: u32,
    /// The last component is followed by a slash: it must be a directory.
    pub slash: bool,
    /// What it may do.
    rules: ResolveFlags,
}

/// Not for programs to set: use the real user's permissions (`access`).
pub const REAL: ResolveFlags = ResolveFlags::from_bits_retain(1 << 63);
/// The rules that keep a walk below the directory it starts at.
const APART: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::IN_ROOT);

impl Files {
    /// Starts a walk. ENOENT for the empty path.
    pub fn walk<'a>(&self, dirfd: DirFd, path: &'a [u8]) -> Result<Walk<'a>> {
        self.walk_by(dirfd, path, ResolveFlags::empty())
    }
    /// The same under these rules.
    pub fn walk_by<'a>(&self, dirfd: DirFd, path: &'a [u8], rules: ResolveFlags) -> Result<Walk<'a>> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        if path.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let p = self.places()?;
        let apart = rules.intersects(APART);
        let at = match path[0] {
            b'/' if rules.contains(ResolveFlags::BENEATH) => return Err(Errno::EXDEV),
            b'/' if !apart => p.root.clone(),
            _ => match dirfd.fd() {
                None => p.cwd,
                Some(fd) => {
                    let at = self.path_of(fd)?;
                    if !at.dentry.is_dir() {
                        return Err(Errno::ENOTDIR);
                    }
                    at
                }
            },
        };
        let root = if apart { at.clone() } else { p.root };
        Ok(Walk { at, root, text: Cow::Borrowed(path), pos: 0, links: 0, slash: false, rules })
    }
    /// The object that a path names; `follow`: even through a symbolic link at the end.
    pub fn lookup(&self, dirfd: DirFd, path: &[u8], follow: bool) -> Result<Path> {
        self.lookup_by(dirfd, path, follow, false, ResolveFlags::empty())
    }
    /// Like `lookup`; if `empty`, an empty path means the descriptor itself (AT_EMPTY_PATH).
    pub fn lookup_at(&self, dirfd: DirFd, path: &[u8], follow: bool, empty: bool) -> Result<Path> {
        self.lookup_by(dirfd, path, follow, empty, ResolveFlags::empty())
    }
    /// The same under these rules.
    pub fn lookup_by(&self, dirfd: DirFd, path: &[u8], follow: bool, empty: bool, rules: ResolveFlags) -> Result<Path> {
        if !path.is_empty() || !empty {
            if rules.is_empty()
                && let Some(at) = self.straight(dirfd, path)?
            {
                return Ok(at);
            }
            return self.walk_by(dirfd, path, rules)?.resolve(follow);
        }
        dirfd.fd().map_or_else(|| self.cwd(), |fd| self.path_of(fd))
    }

    /// The object that a path names, if the way there has nothing but names that are kept: no `..` and no symbolic link.
    /// `None`: it takes a [`Walk`].
    pub(super) fn straight(&self, dirfd: DirFd, path: &[u8]) -> Result<Option<Path>> {
        // Who may walk where is checked step by step.
        if !path.starts_with(b"/") || permission::rules().is_some() {
            return self.step_by_step(dirfd, path);
        }
        if let Some(at) = self.walked.find(path) {
            return Ok(Some(at));
        }
        let began = walked::changes();
        let found = self.step_by_step(dirfd, path)?;
        if let Some(at) = &found {
            self.walked.remember(path, at, began);
        }
        Ok(found)
    }
    fn step_by_step(&self, dirfd: DirFd, path: &[u8]) -> Result<Option<Path>> {
        let (mut from, known) = match path {
            [b'/', ..] => (1, true),
            _ => (0, dirfd.fd().is_none() && !path.is_empty()),
        };
        if !known || path.len() >= PATH_MAX {
            return Ok(None);
        }
        let mut at = self.start(from == 1)?;
        loop {
            if !at.dentry.is_dir() {
                return Ok(None);
            }
            // A slash at the end: the path means a directory, which this is.
            if from == path.len() {
                return Ok(Some(at));
            }
            let end = bytes::find_from(path, from, b'/').unwrap_or(path.len());
            let name = &path[from..end];
            if matches!(name, [] | [b'.'] | [b'.', b'.']) {
                return Ok(None);
            }
            permission::search(at.inode(), Who::Fs)?;
            let Some(dentry) = at.dentry.at_hand(name)? else { return Ok(None) };
            if dentry.kind == S_IFLNK {
                return Ok(None);
            }
            at.dentry = dentry;
            at = at.into_mounted();
            if end == path.len() {
                return Ok(Some(at));
            }
            from = end + 1;
        }
    }
}

impl Walk<'_> {
    /// Whether text is left: after [`Walk::follow`], false means that the link led straight to an object.
    pub fn more(&self) -> bool {
        self.pos < self.text.len()
    }
    /// The bytes of a component.
    pub fn name(&self, r: &Range<usize>) -> &[u8] {
        &self.text[r.clone()]
    }

    fn who(&self) -> Who {
        if self.rules.contains(REAL) { Who::Real } else { Who::Fs }
    }

    /// Goes to the directory of the last component.
    pub fn go_to_last(&mut self) -> Result<Last> {
        self.slash = false;
        loop {
            let text: &[u8] = &self.text;
            let skip = |from: usize| from + text[from..].iter().take_while(|&&c| c == b'/').count();
            let start = skip(self.pos);
            if start == text.len() {
                return Ok(Last::Here);
            }
            let end = text[start..].iter().position(|&c| c == b'/').map_or(text.len(), |n| start + n);
            let next = skip(end);
            let last = next == text.len();
            if !self.at.dentry.is_dir() {
                return Err(Errno::ENOTDIR);
            }
            permission::search(self.at.inode(), self.who())?;
            self.pos = next;
            match &text[start..end] {
                b"." => {}
                b".." => {
                    if self.rules.contains(ResolveFlags::BENEATH) && self.at.same(&self.root) {
                        return Err(Errno::EXDEV);
                    }
                    let above = self.at.parent(&self.root);
                    self.enter(above)?;
                }
                _ if last => {
                    self.slash = next > end;
                    return Ok(Last::Name(start..end));
                }
                name => {
                    let child = self.at.dentry.lookup(name)?;
                    self.step(child)?;
                }
            }
            if last {
                return Ok(Last::Here);
            }
        }
    }

    /// Enters `child` of the current directory, through mounts and symbolic links. For a link, the walk's text becomes
    /// the link's, followed by the rest of the old text.
    fn step(&mut self, child: Arc<Dentry>) -> Result<()> {
        if child.kind != S_IFLNK {
            let to = Path { mount: self.at.mount.clone(), dentry: child }.into_mounted();
            return self.enter(to);
        }
        self.follow(&child)
    }
    fn enter(&mut self, to: Path) -> Result<()> {
        self.check_mount(&to)?;
        self.at = to;
        Ok(())
    }
    /// EXDEV if going to `to` would leave the mount and the rules forbid that.
    pub fn check_mount(&self, to: &Path) -> Result<()> {
        if self.rules.contains(ResolveFlags::NO_XDEV) && !Arc::ptr_eq(&self.at.mount, &to.mount) {
            return Err(Errno::EXDEV);
        }
        Ok(())
    }
    /// Follows the symbolic link `link` in the current directory.
    pub fn follow(&mut self, link: &Arc<Dentry>) -> Result<()> {
        self.links += 1;
        if self.links > LINKS_MAX || self.rules.contains(ResolveFlags::NO_SYMLINKS) {
            return Err(Errno::ELOOP);
        }
        match link.inode.follow()? {
            Follow::Object(_) if self.rules.contains(ResolveFlags::NO_MAGICLINKS) => return Err(Errno::ELOOP),
            Follow::Object(_) if self.rules.intersects(APART) => return Err(Errno::EXDEV),
            Follow::Object(p) => self.enter(p)?,
            Follow::Text(mut t) => {
                if t.is_empty() {
                    return Err(Errno::ENOENT);
                }
                if t[0] == b'/' {
                    if self.rules.contains(ResolveFlags::BENEATH) {
                        return Err(Errno::EXDEV);
                    }
                    let root = self.root.clone();
                    self.enter(root)?;
                }
                let rest: &[u8] = &self.text[self.pos..];
                t.try_reserve(rest.len() + 1)?;
                if self.slash || !rest.is_empty() {
                    t.push(b'/');
                }
                t.extend_from_slice(rest);
                self.text = Cow::<[u8]>::Owned(t);
                self.pos = 0;
            }
        }
        Ok(())
    }

    /// Walks to the end.
    pub fn resolve(mut self, follow: bool) -> Result<Path> {
        loop {
            let Last::Name(r) = self.go_to_last()? else { return Ok(self.at) };
            let child = self.at.dentry.lookup(self.name(&r))?;
            let must_be_dir = self.slash;
            if child.kind == S_IFLNK && (follow || must_be_dir) {
                self.follow(&child)?;
                // An object reached without text is the end; text continues in the loop.
                if !self.more() {
                    return if must_be_dir && !self.at.dentry.is_dir() { Err(Errno::ENOTDIR) } else { Ok(self.at) };
                }
                continue;
            }
            let found = Path { mount: self.at.mount, dentry: child }.into_mounted();
            return if must_be_dir && !found.dentry.is_dir() { Err(Errno::ENOTDIR) } else { Ok(found) };
        }
    }
}

/// A copy of a component, so that the walk can continue while it is used.
pub fn owned(name: &[u8]) -> Result<Vec<u8>> {
    libos_base::memory::copy(name)
}
