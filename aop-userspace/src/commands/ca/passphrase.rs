//! Where a passphrase comes from: a file, a systemd credential, or a terminal. Never the command
//! line, which all users of the host can read.

use std::{
    env,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use aop_ca::{KeyError, Passphrase, PrivateKey};
use aop_fleet::orders::OperatorSecret;
use aop_storage::OpenPath;
use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// The name of the systemd credential.
const CREDENTIAL: &str = "ca-passphrase";
/// The end of each label of a key in PEM.
const KEY: &[u8] = b"PRIVATE KEY-----";
/// The longest passphrase.
const MAX: u64 = 4096;

#[derive(Args, Default)]
pub(in crate::commands) struct PassphraseFile {
    /// A file whose first line is the passphrase of the CA's key; without it, the systemd
    /// credential ca-passphrase, or a question on the terminal
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseFile {
    /// Reads the private key of a CA in `file`, with its passphrase if it has one.
    pub(super) fn open(&self, file: &Path) -> anyhow::Result<PrivateKey> {
        self.read_key(file, |text, ask| PrivateKey::from_pem(text, ask))
    }

    /// Reads the key of an operator in `file`, with its passphrase if it has one.
    pub(in crate::commands) fn open_operator(&self, file: &Path) -> anyhow::Result<OperatorSecret> {
        self.read_key(file, |text, ask| OperatorSecret::from_pem(text, ask))
    }

    fn read_key<K>(
        &self,
        file: &Path,
        read: impl FnOnce(&[u8], &mut dyn FnMut() -> Asked) -> Result<K, KeyOrAsking>,
    ) -> anyhow::Result<K> {
        let text = secret_file(file)?;
        // A file without a key has an error of its own.
        if text.windows(KEY.len()).any(|it| it == KEY) {
            is_guarded(file)?;
        }
        let ask = || match self.stored()? {
            Some(passphrase) => Ok(Some(passphrase)),
            None => ask(&format!("Passphrase of {}: ", file.display())),
        };
        read(&text, &mut || ask().map_err(KeyOrAsking::Asking)).map_err(|error| match error {
            KeyOrAsking::Key(error) => {
                anyhow::Error::from(error).context(file.display().to_string())
            }
            KeyOrAsking::Asking(error) => error,
        })
    }

    /// The passphrase for a new key, which `file` will hold; `None` if it is neither `wanted` nor
    /// given.
    pub(in crate::commands) fn for_new_key(
        &self,
        wanted: bool,
        file: &Path,
    ) -> anyhow::Result<Option<Passphrase>> {
        if !wanted && self.passphrase_file.is_none() {
            return Ok(None);
        }
        let passphrase = match self.stored()? {
            Some(passphrase) => passphrase,
            None => ask_twice(file)?,
        };
        if passphrase.as_bytes().len() < Passphrase::LEAST {
            bail!("the passphrase has less than {} bytes: choose a longer one", Passphrase::LEAST);
        }
        Ok(Some(passphrase))
    }

    /// The one from a file or a credential.
    fn stored(&self) -> anyhow::Result<Option<Passphrase>> {
        if let Some(file) = &self.passphrase_file {
            let mode = fs::metadata(file).with_context(|| file.display().to_string())?.mode();
            if mode & 0o077 != 0 {
                bail!("{0} can be read by other users: `chmod 600 {0}`", file.display());
            }
            return first_line(file).map(Some);
        }
        let credential = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        match credential.map(|directory| directory.join(CREDENTIAL)) {
            Some(file) if file.exists() => first_line(&file).map(Some),
            Some(_) | None => Ok(None),
        }
    }
}

/// The answer to the question for a passphrase.
type Asked = Result<Option<Passphrase>, KeyOrAsking>;

/// An error of the key, or of the question for its passphrase.
enum KeyOrAsking {
    Key(KeyError),
    Asking(anyhow::Error),
}

impl From<KeyError> for KeyOrAsking {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

/// Whether only this user and its group can read the key in `file`, and nobody else can exchange
/// it.
pub(in crate::commands) fn is_guarded(file: &Path) -> anyhow::Result<()> {
    let unreadable = || format!("{}: cannot be read", file.display());
    let mode = fs::metadata(file).with_context(unreadable)?.mode() & 0o7777;
    if mode & 0o027 != 0 {
        bail!(
            "{0}: others can read or change this key (mode {mode:04o}): `chmod 600 {0}`",
            file.display()
        );
    }
    match aop_storage::exchangeable(file).with_context(unreadable)? {
        None => Ok(()),
        Some(OpenPath::Writable(path)) => bail!(
            "{}: others can write to {1}, and could exchange this key: `chmod go-w {1}`",
            file.display(),
            path.display()
        ),
        Some(OpenPath::OfUser(path, user)) => bail!(
            "{}: {1} belongs to another user (uid {user}), who could read or exchange this key: \
             `chown root {1}`",
            file.display(),
            path.display()
        ),
    }
}

/// The bytes of a file that may hold a secret.
pub(super) fn secret_file(file: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    fs::read(file)
        .map(Zeroizing::new)
        .with_context(|| format!("{}: cannot be read", file.display()))
}

fn first_line(file: &Path) -> anyhow::Result<Passphrase> {
    let mut text = Zeroizing::new(Vec::with_capacity(4096));
    let read = File::open(file).and_then(|opened| opened.take(MAX).read_to_end(&mut text));
    read.with_context(|| format!("{}: cannot be read", file.display()))?;
    Passphrase::first_line(&text)
        .with_context(|| format!("{}: its first line, the passphrase, is empty", file.display()))
}

fn ask_twice(file: &Path) -> anyhow::Result<Passphrase> {
    let new = ask(&format!("New passphrase of {}: ", file.display()))?.context(
        "there is no terminal to ask for the passphrase: give it with --passphrase-file FILE, or \
         as the systemd credential ca-passphrase",
    )?;
    let again = ask("The same again: ")?;
    if again.is_none_or(|again| again.as_bytes() != new.as_bytes()) {
        bail!("the two passphrases differ: nothing was written");
    }
    Ok(new)
}

/// Asks on the terminal, without echo; `None` if there is no terminal.
fn ask(question: &str) -> anyhow::Result<Option<Passphrase>> {
    let Ok(terminal) = File::options().read(true).write(true).open("/dev/tty") else {
        return Ok(None);
    };
    let line = {
        // Before the question: what is typed in answer to it must not be shown.
        let _hidden = Hidden::new(&terminal)?;
        (&terminal).write_all(question.as_bytes())?;
        line(&terminal)
    };
    (&terminal).write_all(b"\n")?;
    let line = line?;
    let passphrase = Passphrase::first_line(&line);
    passphrase.context("the passphrase is empty").map(Some)
}

/// One line, read byte by byte, so that what follows stays for the next question.
fn line(mut terminal: &File) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(4096));
    let mut byte = [0];
    while line.len() < line.capacity() && terminal.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    Ok(line)
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Hidden<'a> {
    fn new(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &hidden)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        tcsetattr(self.terminal, OptionalActions::Now, &self.before).ok();
    }
}
