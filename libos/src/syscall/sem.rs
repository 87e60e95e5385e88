//! System V semaphores.

use crate::ipc::sysv::Which;
use crate::ipc::sysv::sem::{self, Question, VALUE_MAX};
use crate::timer::wall::When;
use core::sync::atomic::Ordering::Relaxed;
use libos_base::abi::{Address, Bits, In, SemBuf, SemCommand, SemIdDs, SemInfo, Timespec};
use libos_base::{Errno, Result, user};

pub fn semget(key: i32, count: i32, flags: Bits) -> Result<usize> {
    sem::get(key, count, flags.0).map(|id| id as usize)
}

pub fn semop(id: i32, ops: In<SemBuf>, count: usize) -> Result<()> {
    semtimedop(id, ops, count, In::new(0))
}

pub fn semtimedop(id: i32, ops: In<SemBuf>, count: usize, timeout: In<Timespec>) -> Result<()> {
    let timeout = user::read_opt(timeout)?;
    match count {
        n if n > sem::IN_CALL.load(Relaxed) as usize => return Err(Errno::E2BIG),
        0 => return Err(Errno::EINVAL),
        _ => {}
    }
    let ops = user::read_vec(ops, count)?;
    let until = timeout.map_or(Ok(When::NEVER), |t| t.to_ns().map(When::after))?;
    sem::operate(id, ops, until)
}

pub fn semctl(id: i32, number: i32, cmd: SemCommand, arg: Address) -> Result<usize> {
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    let ask = |what| sem::ask(id, number, what).map(|answer| answer as usize);
    match cmd {
        SemCommand::IPC_INFO | SemCommand::SEM_INFO => {
            let (all, semaphores) = sem::statistics();
            let now = |limit: &core::sync::atomic::AtomicI32| limit.load(Relaxed);
            // What Linux has no limit for, and the size of an undo structure that no longer exists.
            let (semusz, semaem) = match cmd {
                SemCommand::SEM_INFO => (all.used as i32, semaphores as i32),
                _ => (20, VALUE_MAX),
            };
            let info = SemInfo {
                semmap: 1_024_000_000,
                semmni: now(&sem::SETS),
                semmns: now(&sem::IN_ALL),
                semmnu: 1_024_000_000,
                semmsl: now(&sem::IN_SET),
                semopm: now(&sem::IN_CALL),
                semume: 500,
                semusz,
                semvmx: VALUE_MAX,
                semaem,
            };
            user::write(arg.to(), &info)?;
            Ok(all.highest)
        }
        SemCommand::IPC_STAT => {
            user::write(arg.to(), &sem::stat(Which::Id(id))?.1)?;
            Ok(0)
        }
        SemCommand::SEM_STAT | SemCommand::SEM_STAT_ANY => {
            let (id, shown) = sem::stat(Which::Place { at: id, anybody: cmd == SemCommand::SEM_STAT_ANY })?;
            user::write(arg.to(), &shown)?;
            Ok(id as usize)
        }
        SemCommand::GETALL => {
            let values = sem::values(id)?;
            values.iter().enumerate().try_for_each(|(i, v)| user::write(arg.to::<u16>().nth(i), v))?;
            Ok(0)
        }
        SemCommand::SETALL => {
            let n = sem::length(id)?;
            sem::set_values(id, &user::read_vec(arg.to::<u16>(), n)?).map(|()| 0)
        }
        SemCommand::GETVAL => ask(Question::Value),
        SemCommand::GETPID => ask(Question::Pid),
        SemCommand::GETNCNT => ask(Question::Growth),
        SemCommand::GETZCNT => ask(Question::Zero),
        SemCommand::SETVAL => sem::set_value(id, number, arg.0 as i32).map(|()| 0),
        SemCommand::IPC_SET => sem::set(id, &user::read::<SemIdDs>(arg.to())?.perm).map(|()| 0),
        SemCommand::IPC_RMID => sem::remove(id).map(|()| 0),
        _ => Err(Errno::EINVAL),
    }
}
