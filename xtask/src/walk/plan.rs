//! A plan says for each block of a document how it is used, and which other steps stand between
//! the blocks. Plan and document must have the same blocks, in the same order.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{
    page::{self, CodeBlock},
    peer::{Family, Outcome, Peer},
};
use crate::workspace;

pub(super) struct Plan {
    /// The document, below the root of the repository.
    pub(super) document: &'static str,
    /// Which of several plans of one document it is, or nothing.
    pub(super) variant: &'static str,
    /// Begins before the first block: the state in which the reader of the document starts.
    pub(super) start: &'static [Step],
    pub(super) steps: &'static [Step],
}

/// A block is named by the beginning of its first line.
pub(super) enum Step {
    /// Types the next block, as it stands.
    Type(&'static str),
    /// Writes the next block into a file of the machine, which it replaces.
    Write(&'static str, &'static str),
    /// Adds the next block to the end of a file of the machine.
    Append(&'static str, &'static str),
    /// Leaves the next block out, for this reason.
    Leave(&'static str, &'static str),
    /// Does in the machine what the text says between the blocks, or checks what must be so.
    Inside(&'static str),
    /// The same outside, in the folder of [`World`](super::world::World).
    Outside(&'static str),
    /// Copies a file of the machine to the outside.
    Fetch(&'static str),
    /// Copies a file of the outside into the machine.
    Give(&'static str, &'static str),
    /// A peer asks for the site on this port, over IPv4 and IPv6.
    Expect(Peer, u16, Outcome),
    /// The same over one of them.
    ExpectOver(Family, Peer, u16, Outcome),
    /// A command in the machine says this within some seconds.
    Says(&'static str, &'static str),
    Reboot,
}

impl Step {
    /// The beginning of the block that the step uses.
    fn begins(&self) -> Option<&'static str> {
        match self {
            Self::Type(begins) => Some(begins),
            Self::Write(begins, _) | Self::Append(begins, _) | Self::Leave(begins, _) => {
                Some(begins)
            }
            Self::Inside(_) | Self::Outside(_) | Self::Fetch(_) | Self::Give(..) => None,
            Self::Expect(..) | Self::ExpectOver(..) | Self::Says(..) | Self::Reboot => None,
        }
    }
}

/// A step, with the block that it uses.
pub(super) type Matched = (&'static Step, Option<CodeBlock>);

impl Plan {
    /// Gives each step its block. Fails if the document has another block in its place.
    pub(super) fn matched(&self) -> Result<Vec<Matched>> {
        let document = self.document;
        let mut blocks = page::blocks(&workspace::root().join(document))?.into_iter();
        let mut matched = Vec::new();
        for step in self.steps {
            let Some(begins) = step.begins() else {
                matched.push((step, None));
                continue;
            };
            let block = blocks.next();
            let block = block.with_context(|| format!("{document} has no block `{begins}…`"))?;
            let line = block.line;
            ensure!(
                block.text.trim_start().starts_with(begins),
                "{document}:{line}: the plan in xtask/src/walk/plans has the block `{begins}…` \
                 here: say how the walk uses the document's block"
            );
            matched.push((step, Some(block)));
        }
        let left = blocks.next();
        ensure!(
            left.is_none(),
            "{document}:{}: the plan in xtask/src/walk/plans lacks this block",
            left.map_or(0, |block| block.line)
        );
        Ok(matched)
    }

    pub(super) fn is_called(&self, name: &str) -> bool {
        Path::new(self.document).file_stem().is_some_and(|stem| stem == name)
            || self.document == name
    }
}

#[cfg(test)]
mod tests {
    use super::{super::plans::PLANS, *};

    #[test]
    fn each_block_of_the_documents_is_in_its_plan() {
        for plan in PLANS {
            plan.matched().unwrap();
        }
    }

    #[test]
    fn each_block_that_is_left_out_has_a_reason() {
        for step in PLANS.iter().flat_map(|plan| plan.steps) {
            if let Step::Leave(begins, reason) = step {
                assert!(reason.split(' ').count() > 2, "{begins}: {reason:?}");
            }
        }
    }

    #[test]
    fn a_block_that_the_plan_lacks_is_reported_with_its_line() {
        let document = "docs/cut-over.md";
        let none = Plan { document, variant: "", start: &[], steps: &[] };
        let error = none.matched().map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("docs/cut-over.md:") && error.contains("lacks"), "{error}");
        let other = Plan { document, variant: "", start: &[], steps: &[Step::Type("rm")] };
        let error = other.matched().map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("`rm…`"), "{error}");
    }
}
