//! Output for people: texts, the status on one screen, and the chain of an error's causes.

mod colours;
mod drop_line;
mod fold;
mod status_screen;
mod summary;
mod text;

use std::io::{self, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

#[cfg(test)]
pub(crate) use self::drop_line::dropped_packet;
pub(crate) use self::{
    colours::{Colours, Tone},
    drop_line::drop_line,
    fold::{hanging, terminal_columns},
    status_screen::{check_line, prefix_lines, render_status},
    summary::{StateText, confirmed, headline, headline_mode, interface_state},
    text::{age, age_seconds, count, date, distance, lines, when},
};

/// Writes `text` to standard output. A reader that closed the pipe early (`| head`) is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether the reader of standard output has closed the pipe. A verb that otherwise goes on until
/// Ctrl-C ends then.
pub(crate) fn reader_is_gone() -> bool {
    let stdout = io::stdout();
    // The kernel tells these two unasked (poll(2)).
    let gone = PollFlags::ERR | PollFlags::HUP;
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    poll(&mut polled, Some(&Timespec::default()))
        .is_ok_and(|_| polled.iter().any(|stdout| stdout.revents().intersects(gone)))
}

/// The error and its causes, without a cause that the text before it already contains.
pub(crate) fn error_chain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| {
        match (text.is_empty(), text.contains(&cause)) {
            (true, _) => cause,
            (false, true) => text,
            (false, false) => format!("{text}: {cause}"),
        }
    })
}
