//! The budgets of the packet program. If a change exceeds one, make the program smaller, or raise
//! the figure here and explain why.

use std::fmt::{self, Display, Formatter};

use anyhow::{Context, Result, bail};
use aya::{EbpfLoader, programs::Xdp};

use crate::privilege::Privilege;

/// Bytes of the stripped object, which is part of every aop binary. Plain packets have a way of
/// their own through the program, in each family: 15 KB that save a third of their time.
pub(crate) const SIZE: usize = 163_840;

/// Instructions that the verifier walks, over all paths. The kernel's limit is a million. Far below
/// it, loading is fast, and a change that multiplies the paths exceeds the budget at once.
const INSTRUCTIONS: u32 = 65_536;

pub(crate) fn check_size(size: usize) -> Result<()> {
    if size > SIZE {
        bail!("the packet program's object has {size} bytes, over its budget of {SIZE}");
    }
    Ok(())
}

/// The verifier's count of instructions.
pub(crate) enum Instructions {
    Verified(u32),
    NotMeasured(&'static str),
}

impl Display for Instructions {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified(count) => {
                write!(f, "{count} of {INSTRUCTIONS} verified instructions")
            }
            Self::NotMeasured(why) => write!(f, "verified instructions not measured: {why}"),
        }
    }
}

/// Loads the program into the kernel without attaching it, and unloads it.
pub(crate) fn count_instructions(object: &[u8]) -> Result<Instructions> {
    if !Privilege::current()?.loads_programs() {
        return Ok(Instructions::NotMeasured("needs root"));
    }
    let mut ebpf = EbpfLoader::new().load(object).context("cannot load the maps")?;
    let program: &mut Xdp =
        ebpf.program_mut("aop").context("the object has no program `aop`")?.try_into()?;
    program.load().context("the kernel refuses the packet program")?;
    match program.info()?.verified_instruction_count() {
        Some(count) if count > INSTRUCTIONS => {
            bail!("the verifier walks {count} instructions, over the budget of {INSTRUCTIONS}")
        }
        Some(count) => Ok(Instructions::Verified(count)),
        None => Ok(Instructions::NotMeasured("needs Linux 5.16")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_itself_is_within_the_budget() {
        assert!(check_size(SIZE).is_ok());
        assert!(check_size(SIZE + 1).is_err());
    }
}
