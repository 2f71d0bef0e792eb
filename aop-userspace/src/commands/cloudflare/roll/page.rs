//! The output of a roll: a line for each step, or the document at its end.

use std::time::Duration;

use aop_api::{RollResult, RollState, RollStepAt};
use aop_cloudflare::{RollRecord, RollStep, RollTarget};
use jiff::Timestamp;

use super::{CommonArguments, begin::command, turns::Ended};
use crate::output::{self, Colours, date, hanging, lines};

const COLUMNS: usize = 80;

/// The lines on standard output.
pub(super) struct Screen {
    form: ScreenForm,
    colours: Colours,
    /// The last thing that was waited for: it is printed once.
    waits: Option<String>,
}

/// The form of the output.
pub(super) enum ScreenForm {
    /// Lines for a terminal.
    Terminal,
    /// A line for each event of this site, for the log of a service.
    Log(String),
    /// Nothing: a document follows.
    Nothing,
}

impl Screen {
    pub(super) fn new(form: ScreenForm) -> Self {
        Self { form, colours: Colours::of_stdout(), waits: None }
    }

    fn print(&self, first: &str, rest: &str, text: &str) -> anyhow::Result<()> {
        match &self.form {
            ScreenForm::Terminal => output::print(&lines(hanging(first, rest, text, COLUMNS))),
            ScreenForm::Log(site) => {
                output::print(&format!("{site}: {}{text}\n", first.trim_start()))
            }
            ScreenForm::Nothing => Ok(()),
        }
    }

    pub(super) fn head(&self, record: &RollRecord) -> anyhow::Result<()> {
        let what = match (record.undo, record.target) {
            (Some(_), _) => "back to what was before".to_owned(),
            (None, RollTarget::Zone) => format!("a new certificate for {}", record.zone_name),
            (None, RollTarget::Host) => "a new certificate for its hosts".to_owned(),
            (None, RollTarget::BackToZone) => {
                format!("back to the certificate of the zone {}", record.zone_name)
            }
            (None, RollTarget::BackToGlobal) => "back to Cloudflare's global one".to_owned(),
        };
        self.print("", "  ", &format!("{}: {what}", self.colours.head(&record.site)))?;
        record.steps.iter().try_for_each(|it| self.step(record, it.step, it.at))?;
        record.notes.iter().try_for_each(|note| self.note(note))
    }

    pub(super) fn reached(&mut self, record: &RollRecord, step: RollStep) -> anyhow::Result<()> {
        self.waits = None;
        let at = record.reached_at(step).unwrap_or_else(Timestamp::now);
        self.step(record, step, at)
    }

    fn step(&self, record: &RollRecord, step: RollStep, at: Timestamp) -> anyhow::Result<()> {
        let number = RollStep::ALL.iter().position(|it| *it == step).unwrap_or_default() + 1;
        let first = match self.form {
            ScreenForm::Log(_) => format!("{}: ", step.name()),
            ScreenForm::Terminal | ScreenForm::Nothing => format!(
                "  [{number}/{}] {} {:<12} ",
                RollStep::ALL.len(),
                at.strftime("%H:%M:%S"),
                step.name()
            ),
        };
        self.print(&first, &" ".repeat(29), &self::said(record, step))
    }

    pub(super) fn waits(&mut self, what: &str) -> anyhow::Result<()> {
        if self.waits.as_deref() == Some(what) {
            return Ok(());
        }
        self.waits = Some(what.to_owned());
        self.print("        waits for ", "        ", what)
    }

    pub(super) fn fails(&mut self, text: &str, pause: Duration) -> anyhow::Result<()> {
        self.waits = None;
        let again = format!("{text}; again in {:.1} s", pause.as_secs_f32());
        self.print("        ", "          ", &again)
    }

    pub(super) fn note(&self, note: &str) -> anyhow::Result<()> {
        self.print("        note: ", "          ", note)
    }

    fn over(&self, record: &RollRecord, said: &str) -> anyhow::Result<()> {
        record.notes.iter().try_for_each(|note| self.note(note))?;
        self.print("  ", "    ", &self.colours.good(said))
    }

    /// The end of the command.
    pub(super) fn end(
        &self,
        arguments: &CommonArguments,
        record: &RollRecord,
        ended: &Ended,
    ) -> anyhow::Result<()> {
        if arguments.output.json {
            return arguments.output.print(&document(record, ended), |_| String::new());
        }
        match (&ended.state, &ended.stopped) {
            (_, Some((why, cure))) => {
                self.print("  ", "    ", &format!("{}: {why}", self.colours.bad("stopped")))?;
                self.print("    cure: ", "          ", cure)
            }
            (RollState::Done, None) => self.over(record, "done"),
            (RollState::Undone, None) => self.over(record, "undone: all is as it was before"),
            (RollState::Waiting | RollState::Stopped | RollState::Unknown(_), None) => self.print(
                "  ",
                "    ",
                &format!(
                    "not at its end; nothing is lost. Go on with it: `{}`",
                    command(record, &arguments.file)
                ),
            ),
        }
    }
}

/// The text of a step, for this roll.
fn said(record: &RollRecord, step: RollStep) -> String {
    let leaf = record.leaf.as_ref();
    match step {
        RollStep::Made => match leaf {
            Some(leaf) => {
                let serial: String = leaf.serial.chars().take(12).collect();
                format!("serial {serial}..., to {}", date(leaf.not_after))
            }
            None => "nothing to make".to_owned(),
        },
        RollStep::Trusted => "this host accepts it".to_owned(),
        RollStep::Uploaded => {
            format!("as {}", record.uploaded.as_ref().map_or("", |id| id.as_str()))
        }
        RollStep::Active => "the edges have it".to_owned(),
        RollStep::SwitchedOn => match record.target {
            RollTarget::Zone => "for the zone".to_owned(),
            RollTarget::Host => "for its hosts".to_owned(),
            RollTarget::BackToZone => "for the zone, and for its hosts".to_owned(),
            RollTarget::BackToGlobal => "the global one".to_owned(),
        },
        RollStep::Seen => match record.wait_for {
            0 | 1 => "a peer presented it to this host".to_owned(),
            hosts => format!("peers presented it to {hosts} hosts"),
        },
        RollStep::Settled => {
            let settle = Duration::from_millis(record.settle_ms).as_secs_f32();
            format!("the old one was not presented for {settle:.1} s")
        }
        RollStep::Done => {
            let old = record.before.certificates.iter().filter(|it| it.replaced).count();
            format!("{} deleted", output::count(old, "old certificate"))
        }
    }
}

fn document(record: &RollRecord, ended: &Ended) -> RollResult {
    let leaf = record.leaf.as_ref();
    let at = |it: &aop_cloudflare::StepTime| RollStepAt { step: it.step.name().into(), at: it.at };
    RollResult {
        site: record.site.clone(),
        zone: record.zone_name.clone(),
        target: record.target.name().to_owned(),
        state: ended.state.clone(),
        steps: record.steps.iter().map(at).collect(),
        serial: leaf.map(|it| it.serial.clone()),
        spki_sha256: leaf.map(|it| it.spki_sha256.clone()),
        not_after: leaf.map(|it| it.not_after),
        certificate: record.uploaded.as_ref().map(|id| id.as_str().to_owned()),
        waits_for: ended.waits_for.clone(),
        stopped: ended.stopped.as_ref().map(|it| it.0.clone()),
        cure: ended.stopped.as_ref().map(|it| it.1.clone()),
        last_error: record.last_error.as_ref().map(|it| it.text.clone()),
        notes: record.notes.clone(),
    }
}
