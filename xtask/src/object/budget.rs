//! The packet program's budgets. They are there to be noticed: who exceeds one either makes the
//! program smaller again or raises the figure here, and says why.

use std::fmt::{self, Display, Formatter};

use anyhow::{Context, Result, bail};
use aya::{EbpfLoader, programs::Xdp};

use crate::privilege::Privilege;

/// Bytes of the stripped object, which every copy of aop carries.
pub(crate) const SIZE: usize = 131_072;

/// Instructions that the verifier walks, over all paths. The kernel's own limit is a million; far
/// below it, loading stays quick and a change that multiplies the paths is seen at once.
const INSTRUCTIONS: u32 = 65_536;

pub(crate) fn check_size(size: usize) -> Result<()> {
    if size > SIZE {
        bail!("the packet program's object has {size} bytes, over its budget of {SIZE}");
    }
    Ok(())
}

/// What the verifier said.
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

/// Loads the program into the kernel, attached to nothing, and lets go of it again.
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
        None => Ok(Instructions::NotMeasured("this kernel does not tell (5.16 does)")),
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
