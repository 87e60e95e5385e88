//! System V shared memory.

use crate::ipc::sysv::{Which, shm};
use core::sync::atomic::Ordering::Relaxed;
use libos_base::abi::{Address, Bits, ShmCommand, ShmIdDs, ShmInfo, ShmLimits};
use libos_base::{Errno, Result, user};

pub fn shmget(key: i32, size: usize, flags: Bits) -> Result<usize> {
    shm::get(key, size, flags.0).map(|id| id as usize)
}

pub fn shmat(id: i32, addr: Address, flags: Bits) -> Result<usize> {
    shm::attach(id, addr.0, flags.0)
}

pub fn shmdt(addr: Address) -> Result<()> {
    shm::detach(addr.0)
}

pub fn shmctl(id: i32, cmd: ShmCommand, buf: Address) -> Result<usize> {
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    match cmd {
        ShmCommand::IPC_INFO => {
            let number = shm::NUMBER.load(Relaxed) as u64;
            let (shmmax, shmall) = (shm::MAX.load(Relaxed), shm::ALL.load(Relaxed));
            let limits =
                ShmLimits { shmmax, shmmin: 1, shmmni: number, shmseg: number, shmall, ..ShmLimits::default() };
            user::write(buf.to(), &limits)?;
            Ok(shm::statistics().0.highest)
        }
        ShmCommand::SHM_INFO => {
            let (all, pages, resident) = shm::statistics();
            let info = ShmInfo { used_ids: all.used as i32, tot: pages, rss: resident, ..ShmInfo::default() };
            user::write(buf.to(), &info)?;
            Ok(all.highest)
        }
        ShmCommand::IPC_STAT => {
            user::write(buf.to(), &shm::stat(Which::Id(id))?.1)?;
            Ok(0)
        }
        ShmCommand::SHM_STAT | ShmCommand::SHM_STAT_ANY => {
            let (id, shown) = shm::stat(Which::Place { at: id, anybody: cmd == ShmCommand::SHM_STAT_ANY })?;
            user::write(buf.to(), &shown)?;
            Ok(id as usize)
        }
        ShmCommand::IPC_SET => shm::set(id, &user::read::<ShmIdDs>(buf.to())?.perm).map(|()| 0),
        ShmCommand::IPC_RMID => shm::remove(id).map(|()| 0),
        ShmCommand::SHM_LOCK | ShmCommand::SHM_UNLOCK => shm::lock(id, cmd == ShmCommand::SHM_LOCK).map(|()| 0),
        _ => Err(Errno::EINVAL),
    }
}
